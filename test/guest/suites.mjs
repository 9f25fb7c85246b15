/** What runs in the guest, from the repository's root. Emulation is slow: starting four replicas takes minutes. */
const MOCHA = 'node node_modules/mocha/bin/mocha.js';

function files(...names) {
  return names.map((name) => `dist/test/${name}.test.js`).join(' ');
}

/** The transport contract on a device, the attacks with one, and who gets no session at all. */
export const CONTRACT = `
set -e
rdma link
${MOCHA} --timeout 120000 --grep '(verbs)' ${files('rdma/cells', 'rdma/rings', 'rdma/wait', 'rdma/reconnect', 'rdma/windows')} \
  ${files(...['cells', 'rings', 'device', 'queue-pair', 'packets', 'sessions'].map((name) => `attacks/${name}`))}
${MOCHA} --timeout 120000 ${files('rdma/links-refusals')}
`;

/** Commit latency of the providers that a device allows to compare; the result goes to the host. */
export const BENCH = `
set -e
rdma link
node dist/bench/main.js --only commit-latency --providers tcp,verbs --short --out /tmp/bench
for file in bench.json report.html; do echo "SLUICE-GUEST-FILE $file $(base64 -w0 /tmp/bench/$file)"; done
`;

/** Four replicas, load, a killed leader, audit; and the same with one that lies. */
export const NETWORK = `
set -e
rdma link
${MOCHA} ${files('hosts/providers', 'hosts/attacked')}
`;
