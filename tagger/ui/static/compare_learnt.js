/* What the taste has learnt, in figures, a few words, and the pictures that it puts first. */
const BEST = 12; // pictures of the strip
const REST = 250; // milliseconds after a vote before the taste is looked at
const AT_LEAST = 1_500; // and so often while votes go on
const FEW_LIKES = 4;
const FEW_DISLIKES = 2;
const LEAST_JUDGED = 4; // pairs from which a share of them is told
const LEAST_REPEATED = 6; // the same of pairs that were shown twice
const FAR = 300; // votes: what is that far off is not worth a number
const LEANING = 0.12; // weight from which a word is worth a mention

/** A word of a taste that leads to its pictures. */
function wordChip(word) {
  const button = make('button', 'cp-chip', word.label);
  button.type = 'button';
  button.title = say('word_see', word);
  button.setAttribute('aria-label', button.title);
  button.addEventListener('click', () => exploreWish({ tag: word.tag, label: word.label }));
  return button;
}

/**
 * `places` holds the elements; `shipped()` is the ranker {id, label} whose order stands there before
 * the first vote, or null. `changed(taste)` follows every answer.
 */
function createLearnt({ places, source, shipped, firstWords, open, changed, failed }) {
  const strip = createStrip(places.strip, { image: source.image, open });
  let busy = false;
  let again = false;
  let turn = 0;
  let timer = 0;
  let since = 0; // when the first vote came that is not seen here

  const showCount = (count) => {
    write(places.count, amount(count));
    write(places.votes, say(count === 1 ? 'vote_one' : 'votes_many'));
  };
  const show = (taste) => {
    const { count, agreement, consistency, votes_to_go: toGo, goal } = taste;
    showCount(count);
    const known = agreement.count >= LEAST_JUDGED && Number.isFinite(agreement.value);
    places.root.dataset.state = !count ? 'none' : known ? 'known' : 'few';
    write(places.foresees, known ? say('foresees', { percent: percent(agreement.value) })
      : say(count ? 'stage_few' : 'stage_none'));
    write(places.range, known ? say('foresees_range', {
      low: percent(agreement.low), high: percent(agreement.high), count: agreement.count,
    }) : '');
    const style = places.meter.style;
    style.setProperty('--cp-low', known ? agreement.low : 0);
    style.setProperty('--cp-high', known ? agreement.high : 0);
    style.setProperty('--cp-at', known ? agreement.value : 0);
    const own = consistency.repeated;
    const repeated = own.count >= LEAST_REPEATED && Number.isFinite(own.value);
    const ceiling = repeated && Number.isFinite(consistency.ceiling);
    places.meter.dataset.known = String(known);
    places.meter.dataset.ceiling = String(ceiling);
    style.setProperty('--cp-top', ceiling ? consistency.ceiling : 1);
    places.meter.setAttribute('aria-label', say('meter', { percent: known ? percent(agreement.value) : '–' }));
    write(places.self, ceiling
      ? say('self', { percent: percent(own.value), count: amount(own.count), ceiling: percent(consistency.ceiling) })
      : count ? say('self_none') : '');
    const reached = { goal: percent(goal ?? 0.85) };
    write(places.toGo, !known || !Number.isFinite(toGo) || toGo > FAR ? ''
      : toGo <= 0 ? say('to_go_done', reached)
        : say(toGo === 1 ? 'to_go_one' : 'to_go', { ...reached, count: amount(toGo) }));
    const leanings = count >= firstWords ? taste.words : [];
    const pick = (words, most) => words.slice(0, most).map((word) => {
      const item = make('li');
      item.append(wordChip(word));
      return item;
    });
    const likes = leanings.filter(({ weight }) => weight >= LEANING).sort((a, b) => b.weight - a.weight);
    const dislikes = leanings.filter(({ weight }) => weight <= -LEANING).sort((a, b) => a.weight - b.weight);
    places.leanings.hidden = !likes.length;
    const named = (words) => words.map(({ tag }) => tag).join(' ');
    const shown = `${named(likes.slice(0, FEW_LIKES))}|${named(dislikes.slice(0, FEW_DISLIKES))}`;
    if (places.leanings.dataset.words !== shown && !places.leanings.contains(document.activeElement)) {
      places.leanings.dataset.words = shown;
      places.likes.replaceChildren(...pick(likes, FEW_LIKES));
      places.dislikes.replaceChildren(...pick(dislikes, FEW_DISLIKES));
      places.dislikesHead.hidden = !dislikes.length;
    }
    places.root.dataset.count = count;
  };

  const look = async () => {
    const taste = await source.taste();
    show(taste);
    const own = taste.count > 0 || taste.words.some(({ edited }) => edited) || taste.begun_from;
    const other = own ? null : shipped();
    if (own || other) {
      const order = await source.order({ ranker: own ? 'taste' : other.id, limit: BEST });
      places.best.hidden = !order.pictures.length;
      strip.show(order.pictures, order.hash);
      write(places.note, own ? say('best_all', { count: amount(order.total) })
        : say('best_shipped', { name: other.label }));
    } else {
      places.best.hidden = true;
    }
    places.root.dataset.turn = ++turn;
    changed(taste);
  };
  /** Look at the taste as it is now; many wishes of the same moment are one. */
  const refresh = async () => {
    clearTimeout(timer);
    since = 0;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      do {
        again = false;
        await look();
      } while (again);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (!error.again && error.code !== 'compare-no-gallery') failed(error);
    } finally {
      busy = false;
    }
  };
  return {
    refresh,
    /** A vote is learnt from, or taken back (null): calmly, while votes come fast. */
    voted(answer) {
      if (answer) showCount(answer.count);
      const now = performance.now();
      since ||= now;
      clearTimeout(timer);
      timer = setTimeout(refresh, Math.max(0, Math.min(REST, since + AT_LEAST - now)));
    },
  };
}
