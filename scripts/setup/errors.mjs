/** A set-up step that cannot go on, with a message for the person who typed the command; no stack is shown. */
export class SetupError extends Error {}

/** Runs a command's main function: exit code from its result, SetupErrors as plain text. */
export function runMain(main) {
  main().then(
    (code) => {
      if (code !== undefined) process.exitCode = code;
    },
    (error) => {
      process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
      process.exitCode = 1;
    },
  );
}
