/* Answers on their way: one after the other, in their order, kept until the server has them.
 *
 * The browser keeps each of them, too: a page that is closed without a connection sends them when it
 * is opened again. A key of chance lets the server know one that comes twice.
 */
const KEPT_VOTE = 'tagger-vote:'; // and its key
const FIRST_WAIT = 500; // milliseconds before the next attempt, twice as many after each
const LONGEST_WAIT = 15_000;

const randomKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * `vote(body)` and `undo(id)` ask the server; `extras()` is what a vote's body says at the moment of
 * sending. `arrived(item, answer)` follows a vote that is kept (null: one that is taken back),
 * `refused(item, error)` one that never will be, and `changed(waiting, stuck)` how many wait, and whether the last attempt failed.
 */
function createVoteQueue({ vote, undo, extras, arrived, refused, changed }) {
  let items = [];
  let busy = false;
  let stuck = false;
  let wait = FIRST_WAIT;
  let timer = 0;
  let under = Promise.resolve(); // what is on its way

  const keep = (item) => {
    const kept = item.of ? { at: item.at, of: item.of.key, id: item.of.id } : { at: item.at, body: item.body };
    try {
      localStorage.setItem(KEPT_VOTE + item.key, JSON.stringify(kept));
    } catch { /* a browser that keeps nothing: they live as long as the page */ }
  };
  const drop = (item) => {
    try {
      localStorage.removeItem(KEPT_VOTE + item.key);
    } catch { /* nor does it hold any */ }
  };
  const told = () => changed(items.length, stuck);

  const pump = () => {
    clearTimeout(timer);
    if (!busy && items.length) under = send();
  };
  const send = async () => {
    busy = true;
    const [item] = items;
    item.sent = true;
    let answer = null;
    let trouble = null;
    try {
      if (!item.of) answer = await vote({ ...item.body, ...extras() });
      else if (item.of.id) await undo(item.of.id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      trouble = error;
    } finally {
      busy = false;
    }
    if (!items.includes(item)) return; // forgotten meanwhile
    if (trouble?.again) {
      stuck = true;
      timer = setTimeout(pump, wait);
      wait = Math.min(2 * wait, LONGEST_WAIT);
      told();
      return;
    }
    stuck = false;
    wait = FIRST_WAIT;
    items = items.filter((other) => other !== item);
    drop(item);
    if (answer) {
      item.id = answer.id;
      for (const other of items) if (other.of === item) keep(other);
      arrived(item, answer);
    } else if (item.of) {
      arrived(item, null); // taken back, or never known
    } else {
      refused(item, trouble);
    }
    told();
    pump();
  };
  const add = (item) => {
    items.push(item);
    keep(item);
    told();
    pump();
    return item;
  };
  addEventListener('online', () => {
    wait = FIRST_WAIT;
    pump();
  });

  return {
    /** Votes that are to be kept, and are not yet. */
    get waiting() { return items.filter((item) => !item.of && !items.some(({ of }) => of === item)); },
    get idle() { return !items.length; },
    /** Whether the last attempt failed. */
    get stuck() { return stuck; },
    /** A vote: what the server is to be told, and the pair that it is on; returns its item. */
    add: (body, pair) => {
      const key = randomKey();
      return add({ key, at: Date.now(), body: { ...body, key }, pair, id: null, of: null, sent: false });
    },
    /** Take a vote back: one that never left is forgotten here. */
    takeBack(item) {
      if (items.includes(item) && !item.sent) {
        items = items.filter((other) => other !== item);
        drop(item);
        told();
        return;
      }
      add({ key: randomKey(), at: Date.now(), body: null, id: null, of: item, sent: false });
    },
    /** Forget all that waits; resolves when nothing is on its way any more. */
    async clear() {
      clearTimeout(timer);
      for (const item of items) drop(item);
      items = [];
      stuck = false;
      told();
      await under;
    },
    /** Send what an earlier page could not. */
    restore() {
      let kept = [];
      try {
        kept = Object.keys(localStorage).filter((key) => key.startsWith(KEPT_VOTE))
          .map((key) => ({ key: key.slice(KEPT_VOTE.length), ...JSON.parse(localStorage.getItem(key)) }));
      } catch { /* nothing that can be read */ }
      kept.sort((a, b) => a.at - b.at);
      const votes = new Map();
      for (const { key, at, body, of, id } of kept) {
        const item = { key, at, body: body ?? null, id: null, of: null, sent: true };
        if (body) votes.set(body.key, item);
        else item.of = votes.get(of) ?? { key: of, id };
        items.push(item);
      }
      if (items.length) told();
      pump();
    },
  };
}
