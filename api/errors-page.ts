/** docs/errors.md, rendered from the table in errors.ts; test/api/errors.test.ts compares the two. */
import { ERRORS, type ErrorEntry } from './errors.ts';

const HEAD = `# Errors of the HTTP API

Generated from \`api/errors.ts\`; do not edit (\`SLUICE_WRITE_DOCS=1 npm test\` writes it again).

Every error has one shape, whatever failed:

\`\`\`json
{ "code": "no_such_channel", "message": "...", "requestId": "k3v9-42", "details": { } }
\`\`\`

\`code\` is stable: programs decide by it, never by \`message\`. \`details\` is there when a code has data. \`requestId\` finds
the request in the replica's log. Codes with status 429 and 503 carry a \`Retry-After\` header (seconds) and, when the replica knows
better, \`details.retryAfterMs\`. "Retry" says that the same request may succeed later. Status "stream" marks codes that end a
stream after its 200, as its last record; other codes may end one, too.

| code | status | retry | meaning |
|---|---|---|---|
`;

export function renderErrorsPage(): string {
  const rows = Object.entries<ErrorEntry>(ERRORS).map(
    ([code, { status, sentence, retry }]) =>
      `| \`${code}\` | ${status} | ${retry ? 'yes' : 'no'} | ${sentence.replaceAll('|', '\\|')} |`,
  );
  return `${HEAD}${rows.join('\n')}\n`;
}
