/** Runs at most `max` pieces of work at a time, in the order in which they come. */
export function limiter(max) {
  const waiting = [];
  let running = 0;
  const next = () => {
    while (running < max && waiting.length > 0) {
      running += 1;
      const { work, resolve, reject } = waiting.shift();
      work()
        .then(resolve, reject)
        .finally(() => {
          running -= 1;
          next();
        });
    }
  };
  return (work) =>
    new Promise((resolve, reject) => {
      waiting.push({ work, resolve, reject });
      next();
    });
}
