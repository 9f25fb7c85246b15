/** What `npm run test:rdma` runs in the guest, from the repository's root. */
export const SUITES = `
set -e
rdma link
node node_modules/mocha/bin/mocha.js --timeout 120000 --grep '(verbs)' \\
  dist/test/rdma/cells.test.js dist/test/rdma/rings.test.js dist/test/rdma/wait.test.js dist/test/rdma/reconnect.test.js dist/test/attacks/device.test.js
node node_modules/mocha/bin/mocha.js dist/test/e2e/providers.test.js
`;
