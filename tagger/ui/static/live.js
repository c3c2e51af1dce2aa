/* Questions to a server while something changes: the answer that stands last is the last one's.
 *
 * Each question has a number. Several travel at once, as many as the way to the server is long, and
 * an answer that comes after a later one's is dropped. What changes while all are on their way is
 * asked as soon as one is back, so that the last state is always asked.
 */

/**
 * `ask(number)` returns a promise of an answer; `show(answer, number)` is given those that are not
 * stale; `trouble(answer)` hears of one that could not be given (null: the server did not answer).
 * `gap` is the time between two questions in milliseconds, `most` how many may be on their way.
 */
function createLive({ ask, show, trouble, gap = 40, most = 3, patience = 10_000 }) {
  let wanted = 0; // number of the latest state
  let asked = 0; // of the latest question
  let shown = 0; // of the answer that stands
  let flying = 0;
  let shortest = 0; // the time that a round trip takes at least: what the way is long
  let last = -Infinity;
  let timer = 0;
  let pause = 0; // after a failure

  const places = () => Math.min(most, 1 + Math.ceil(shortest / gap));
  const pump = () => {
    if (timer || asked >= wanted || flying >= places()) return;
    const wait = Math.max(gap, pause) - (performance.now() - last);
    if (wait > 0) {
      timer = setTimeout(() => { timer = 0; pump(); }, wait);
      return;
    }
    put();
  };
  const put = async () => {
    const number = asked = wanted;
    const start = last = performance.now();
    flying++;
    let answer = null;
    let timeout = 0;
    try {
      answer = await Promise.race([
        ask(number),
        new Promise((resolve) => { timeout = setTimeout(resolve, patience, null); }),
      ]);
    } catch { /* said below: there is no answer */ }
    clearTimeout(timeout);
    flying--;
    const took = performance.now() - start;
    // Slowly forgotten, as ways change; not so fast that a busy server would be asked still more.
    shortest = shortest ? Math.min(took, shortest * 1.002) : took;
    if (number > shown) {
      if (answer && !answer.problem) {
        shown = number;
        pause = 0;
        show(answer, number);
      } else {
        trouble(answer);
        // Asked again, later and later, unless it would be refused again.
        pause = Math.min(5_000, Math.max(250, 2 * pause));
        if (!answer || answer.again) asked = Math.min(asked, number - 1);
      }
    }
    pump();
  };
  return {
    /** Something changed: its answer is wanted. */
    changed() {
      wanted++;
      pump();
    },
    /** What was asked so far is of no interest any more. */
    forget() {
      wanted++;
      asked = shown = wanted;
    },
    /** Whether the answer that stands is the latest state's. */
    get settled() { return shown === wanted; },
  };
}
