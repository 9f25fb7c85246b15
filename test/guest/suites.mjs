/** What `npm run test:rdma` runs in the guest, from the repository's root. */
export const SUITES = `
set -e
rdma link
ibv_devinfo -d rxe0 | head -8
node scripts/setup/test.mjs --no-setup --suite hosts
`;
