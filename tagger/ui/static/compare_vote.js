/* Voting: a pair, an answer, the next pair in the same frame.
 *
 * The pairs ahead are here before they are asked for, with their pictures decoded. An answer is sent
 * behind the visitor's back; what the server expected of it is told a moment later.
 */
const PAIRS_AHEAD = 3;
const MOST_PENDING = 50; // that the server is told of
const LOOK_AGAIN = 1_500; // milliseconds between two looks at a gallery that is being made ready
const MOST_PAST = 40; // votes whose pairs are here to be taken back; older ones the server knows
const MOST_BROKEN = 3; // pairs in a row whose pictures do not come
const SURE = 0.55; // an answer that was given more than this was expected
const LONGEST = 3_600_000; // milliseconds; who comes back after an hour has not thought for so long

/**
 * `places` holds the elements. `voted()` follows every vote that the server keeps or takes back,
 * `awake()` the first pairs of a gallery that was not ready before; `told(text)` is for those who hear
 * the page, `failed(error)` shows what is wrong, `open(brief)` leads to a picture.
 */
function createVoting({ places, source, consent, voted, awake, told, failed, open }) {
  let pairs = []; // the first one is shown
  let past = []; // votes of this page, each with its pair, the latest last
  let hash = '';
  let state = 'loading';
  let shownAt = 0;
  let broken = 0;
  let loading = false;
  let timer = 0;
  let receipt = null; // the item that it speaks of

  const title = (brief) => brief.title || say('untitled');
  const setState = (name, line = '', again = false) => {
    state = name;
    places.root.dataset.state = name;
    write(places.coverLine, line);
    places.again.hidden = !again;
    places.pair.setAttribute('aria-busy', String(name === 'loading' || name === 'starting'));
    // Not `disabled`: what is pressed away under the focus would drop it.
    for (const node of places.choices) node.setAttribute('aria-disabled', String(name !== 'ready'));
  };

  // --- pairs -----------------------------------------------------------------------------------------

  const prepare = (pair) => {
    pair.images = {};
    pair.loaded = false;
    for (const side of ['left', 'right']) {
      const picture = new Image();
      picture.decoding = 'sync';
      picture.draggable = false;
      picture.alt = '';
      picture.src = source.image(pair[side].number, hash);
      pair.images[side] = picture;
    }
    Promise.all([pair.images.left.decode(), pair.images.right.decode()]).then(
      () => { pair.loaded = true; },
      () => { pair.broken = true; },
    ).then(() => { if (pair === pairs[0]) show(); });
    return pair;
  };
  const same = (a, b) => {
    const numbers = ({ left, right }) => [left.number, right.number].sort((x, y) => x - y).join();
    return numbers(a) === numbers(b);
  };
  const take = (answer) => {
    if (answer.hash !== hash) {
      if (hash) renew();
      hash = answer.hash;
    }
    for (const pair of answer.pairs ?? []) {
      if (!pairs.some((other) => same(other, pair))) pairs.push(prepare(pair));
    }
  };
  /** The gallery has changed: numbers of before mean nothing any more. */
  const renew = () => {
    pairs = [];
    past = [];
    receipt = null;
    told(say('renewed'));
  };

  const show = () => {
    const [pair] = pairs;
    if (!pair) {
      if (state !== 'none' && state !== 'starting' && state !== 'failed') {
        setState(queue.idle ? 'loading' : 'waiting', queue.idle ? '' : say('pair_waiting'));
      }
      if (queue.idle) load();
      return;
    }
    if (pair.broken) {
      pairs.shift();
      if (++broken >= MOST_BROKEN) {
        setState('failed', say('pair_pictures'), true);
        return;
      }
      show();
      return;
    }
    if (!pair.loaded) {
      setState('loading');
      return;
    }
    broken = 0;
    for (const [side, { card, paper, title: line, see }] of Object.entries(places.sides)) {
      const brief = pair[side];
      paper.replaceChildren(pair.images[side]);
      write(line, brief.title);
      card.setAttribute('aria-label', say(side === 'left' ? 'card_left' : 'card_right', { title: title(brief) }));
      see.setAttribute('aria-label', say('see_named', { title: title(brief) }));
    }
    places.pair.dataset.left = pair.left.number;
    places.pair.dataset.right = pair.right.number;
    places.pair.dataset.kind = pair.kind;
    setState('ready');
    shownAt = performance.now();
  };

  const load = async () => {
    if (loading) return;
    loading = true;
    clearTimeout(timer);
    try {
      take(await source.next(PAIRS_AHEAD + 1, pairs));
      if (state === 'starting') awake();
      if (state !== 'ready') state = 'loading';
      if (pairs.length) show();
      else setState('none', say('pair_none'));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === 'compare-no-gallery') {
        setState('none', say('pair_none'));
      } else if (error.again && error.code && state !== 'ready') {
        // It answers, but not with pairs yet.
        setState('starting', error.code === 'compare-loading' ? say('pair_starting') : error.message);
        timer = setTimeout(load, LOOK_AGAIN);
      } else if (!pairs.length) {
        setState('failed', error.message || say('pair_failed'), true);
      }
    } finally {
      loading = false;
    }
  };

  // --- answers ---------------------------------------------------------------------------------------

  const thumbs = (item) => ['left', 'right'].map((side) => {
    const picture = item.pair.images[side].cloneNode();
    const { choice } = item.body;
    picture.className = 'cp-thumb';
    picture.dataset.chosen = String(choice === side || choice === 'tie');
    return picture;
  });
  const line = (text, tone = '') => {
    write(places.receiptLine, text);
    places.receipt.dataset.tone = tone;
  };
  /** What was expected of an answer, once it is known. */
  const showReceipt = (item, answer = null) => {
    receipt = item;
    places.receipt.dataset.state = answer ? 'known' : 'sent';
    if (!answer) {
      places.thumbs.replaceChildren(...thumbs(item));
      line('');
      return;
    }
    const { choice } = item.body;
    const left = answer.p_left;
    if (choice === 'skip') {
      line(say('receipt_skip'));
    } else if (!Number.isFinite(left)) {
      line(say('receipt_noted'));
    } else if (answer.count <= 1) {
      line(say('receipt_first'));
    } else if (choice === 'tie' || choice === 'both-bad') {
      line(say(choice === 'tie' ? 'receipt_tie' : 'receipt_both_bad', { percent: percent(left) }));
    } else {
      const chosen = choice === 'left' ? left : 1 - left;
      const tone = chosen >= SURE ? 'expected' : chosen > 1 - SURE ? 'open' : 'surprise';
      line(say(`receipt_${tone}`, { percent: percent(chosen) }), tone);
    }
  };

  const queue = createVoteQueue({
    vote: source.vote,
    undo: source.undo,
    extras: () => ({
      pending: [...pairs, ...queue.waiting.filter(({ sent }) => !sent).map(({ pair }) => pair)]
        .slice(0, MOST_PENDING).map(({ left, right, kind }) => [left.number, right.number, kind]),
      next: Math.max(0, PAIRS_AHEAD + 1 - pairs.length),
    }),
    arrived(item, answer) {
      if (!answer) {
        voted(null);
        return;
      }
      take(answer);
      if (item === receipt) showReceipt(item, answer);
      if (state !== 'ready' || !pairs.length) show();
      voted(answer);
    },
    refused(item, error) {
      past = past.filter((other) => other !== item);
      if (error.code.endsWith('-stale')) {
        renew();
        load();
      }
      failed(new Refusal(say('vote_refused', { message: error.message }), error.code));
    },
    changed(waiting, stuck) {
      places.root.dataset.waiting = waiting;
      places.root.dataset.stuck = String(stuck);
      if (stuck) line(say('receipt_kept', { count: waiting }));
      else if (!pairs.length && !waiting && state === 'waiting') show();
    },
  });

  const choose = (choice) => {
    const [pair] = pairs;
    if (state !== 'ready' || !pair?.loaded) return;
    const item = queue.add({
      hash, left: pair.left.number, right: pair.right.number, choice, kind: pair.kind,
      milliseconds: Math.min(LONGEST, Math.round(performance.now() - shownAt)),
      consent: consent(), ranker: 'taste',
    }, pair);
    past.push(item);
    if (past.length > MOST_PAST) past.shift();
    pairs.shift();
    show();
    showReceipt(item);
    if (queue.stuck) line(say('receipt_kept', { count: queue.waiting.length }));
    const [next] = pairs;
    if (next) told(say('heard_pair', { left: title(next.left), right: title(next.right) }));
  };

  const undo = async () => {
    let item = past.pop();
    if (item) {
      queue.takeBack(item);
    } else {
      // Of a visit before.
      if (!queue.idle) return;
      try {
        const { votes } = await source.votes(0, 1);
        const [last] = votes;
        if (last?.left && last.right) {
          await source.undo(last.id);
          item = { pair: prepare({ left: last.left, right: last.right, kind: last.kind }) };
          voted(null);
        }
      } catch (error) {
        failed(error);
        return;
      }
      if (!item) {
        line(say('nothing_to_undo'));
        return;
      }
    }
    pairs.unshift(item.pair);
    show();
    receipt = null;
    places.thumbs.replaceChildren();
    line(say('receipt_undone'));
    told(say('receipt_undone'));
  };

  for (const node of places.choices) {
    // A click leaves the focus where it was: the keys go on to mean what they meant.
    node.addEventListener('pointerdown', (event) => event.preventDefault());
    node.addEventListener('mousedown', (event) => event.preventDefault());
    node.addEventListener('click', () => choose(node.dataset.choice));
  }
  places.undo.addEventListener('mousedown', (event) => event.preventDefault());
  places.undo.addEventListener('click', undo);
  places.again.addEventListener('click', () => {
    broken = 0;
    setState('loading');
    load();
  });
  for (const [side, { see }] of Object.entries(places.sides)) {
    see.title = say('see');
    see.addEventListener('click', () => { if (pairs[0]) open(pairs[0][side]); });
  }
  setState('loading');

  return {
    begin() {
      queue.restore();
      load();
    },
    choose,
    undo,
    get hash() { return hash; },
    /** Put two pictures of the gallery up to be voted on. */
    put(left, right) {
      pairs.unshift(prepare({ left, right, kind: 'own' }));
      show();
    },
    /** Before all votes are forgotten: none is to come after that. */
    async stop() {
      setState('loading');
      pairs = [];
      past = [];
      receipt = null;
      places.thumbs.replaceChildren();
      line('');
      await queue.clear();
    },
    /** Begin anew. */
    restart: load,
  };
}
