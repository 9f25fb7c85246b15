/** What runs in the guest, from the repository's root. Emulation is slow: starting four replicas takes minutes. */
const MOCHA = 'node node_modules/mocha/bin/mocha.js';

/** The transport contract on a device, and attacks with one. */
export const CONTRACT = `
set -e
rdma link
${MOCHA} --timeout 120000 --grep '(verbs)' ${[
  'rdma/cells',
  'rdma/rings',
  'rdma/wait',
  'rdma/reconnect',
  'attacks/device',
]
  .map((name) => `dist/test/${name}.test.js`)
  .join(' ')}
`;

/** Four replicas, load, a killed leader, audit. */
export const NETWORK = `
set -e
rdma link
${MOCHA} dist/test/hosts/providers.test.js
`;
