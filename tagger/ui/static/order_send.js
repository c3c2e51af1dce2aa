/* Many pictures to the server, in batches, a few at a time: each answer is heard as it comes. */
const LANES = 2; // batches under way at a time
const FIRST = 4; // items of the first batch; each next holds twice as many, up to the most
const TRIES = 8; // of a batch that the server has no time for
const FIRST_REST = 1_000; // milliseconds until it is tried again; twice as long each time
const LONGEST_REST = 15_000;
// Refusals for which single pictures may be to blame.
const OF_PICTURES = /^(image-|request-(too-large|too-many-files|timeout|no-file)$)/;

/**
 * `send(items, signal)` resolves with one answer an item, in their order, or throws a Refusal. Of an
 * answer `done(item, answer)` hears, of a picture that is refused `spoilt(item, error)`. After each batch
 * and each rest `changed()`; when nothing is under way any more `ended(error)`, with what stopped it or
 * null. A batch holds at most `most` items and `mostBytes` bytes.
 */
function createSender({ send, most, mostBytes, done, spoilt, changed, ended }) {
  let queue = [];
  let halves = []; // of batches that were refused as a whole
  let lanes = 0;
  let control = null;
  let refusal = null;
  let again = false; // whether to begin anew when what is under way has ended
  let rest = null;
  let size = Math.min(most, FIRST);
  const gone = new WeakSet(); // items that are no longer wanted

  const next = () => {
    if (halves.length) return halves.shift();
    let sum = 0;
    let count = 0;
    while (count < size && count < queue.length && (!count || sum + queue[count].file.size <= mostBytes)) {
      sum += queue[count++].file.size;
    }
    size = Math.min(most, 2 * size);
    return queue.splice(0, count);
  };
  const pause = (milliseconds, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); });
  });
  const trySend = async (batch, signal) => {
    for (let tried = 1; ; tried++) {
      await rest;
      signal.throwIfAborted();
      try {
        return await send(batch, signal);
      } catch (error) {
        if (signal.aborted || !error.again || tried === TRIES) throw error;
        // Whoever is told to wait makes the others wait, too.
        rest = pause(Math.min(LONGEST_REST, FIRST_REST * 2 ** (tried - 1)), signal);
        changed();
        await rest;
        rest = null;
      }
    }
  };
  const stop = () => {
    queue.unshift(...halves.flat());
    halves = [];
    again = false;
    control?.abort();
  };
  const work = async (batch, signal) => {
    try {
      const answers = await trySend(batch, signal);
      batch.forEach((item, n) => { done(item, answers[n]); });
    } catch (error) {
      const single = OF_PICTURES.test(error.code);
      if (single && batch.length > 1) {
        const middle = Math.ceil(batch.length / 2);
        halves.push(batch.slice(0, middle), batch.slice(middle));
      } else if (single && !error.again) {
        spoilt(batch[0], error);
      } else {
        queue.unshift(...batch.filter((item) => !gone.has(item)));
        if (!signal.aborted) {
          refusal = error;
          stop();
        }
      }
    }
    lanes--;
    changed();
    pump();
  };
  const pump = () => {
    const { signal } = control;
    while (!signal.aborted && lanes < LANES) {
      const batch = next();
      if (!batch.length) break;
      lanes++;
      work(batch, signal);
    }
    if (lanes) return;
    const error = refusal;
    control = refusal = rest = null;
    if (again) sender.start();
    else ended(error);
  };
  const sender = {
    get active() { return control !== null; },
    /** Whether the server has asked to wait. */
    get resting() { return rest !== null; },
    /** How many wait to be sent. */
    get waiting() { return queue.length + halves.flat().length; },
    add(items) { for (const item of items) queue.push(item); },
    /** Send what waits. */
    start() {
      if (control?.signal.aborted) {
        again = true;
        return;
      }
      again = false;
      if (!control) size = Math.min(most, FIRST);
      control ??= new AbortController();
      pump();
    },
    stop,
    /** Stop, and forget these items. */
    forget(items) {
      for (const item of items) gone.add(item);
      stop();
      queue = queue.filter((item) => !gone.has(item));
    },
  };
  return sender;
}
