import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError } from './errors.mjs';

const NODE_MINIMUM = [20, 19];

/** Throws SetupError when this Node is too old. */
export function checkNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number);
  const [wantMajor, wantMinor] = NODE_MINIMUM;
  if (major > wantMajor || (major === wantMajor && minor >= wantMinor)) return;
  throw new SetupError(
    `Node ${NODE_MINIMUM.join('.')} or newer is needed, this is ${version}: install a current Node`,
  );
}

/** Path of an executable, by its name on PATH or its path; undefined when there is none. */
export function findExecutable(name, env = process.env) {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    if (folder !== '' && isExecutable(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

/** Throws SetupError when npm is not there. */
export function findNpm(env = process.env) {
  const npm = findExecutable('npm', env);
  if (npm !== undefined) return npm;
  throw new SetupError('npm is missing: it comes with Node; install the package `npm`');
}

/**
 * Tools that compile the addon. Returns the environment variables to build with; throws a SetupError with one line
 * for each tool that is missing.
 */
export function findBuildTools(env = process.env) {
  const missing = [];
  // $CXX may be a command with arguments, such as `ccache g++`.
  const compilers = env.CXX ? [env.CXX] : ['c++', 'g++', 'clang++'];
  const compiler = compilers.find((command) => findExecutable(command.trim().split(/\s+/)[0], env));
  if (compiler === undefined) {
    missing.push(
      env.CXX
        ? `the C++ compiler named by CXX (${env.CXX}) is missing: install it or unset CXX`
        : 'a C++ compiler is missing: install the package `g++` or `clang` (or set CXX)',
    );
  }
  if (findExecutable(env.MAKE || 'make', env) === undefined) {
    missing.push('make is missing: install the package `make`');
  }
  const python = env.npm_config_python || env.PYTHON || 'python3';
  if (findExecutable(python, env) === undefined) {
    missing.push(`${python} is missing: install the package \`python3\``);
  }
  if (missing.length > 0) throw new SetupError(missing.join('\n'));
  return { CXX: compiler };
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
