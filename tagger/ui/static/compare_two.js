/* Two pictures of anybody's: which one is preferred, how clearly, and what speaks for either. */
const WHY = 6;
const TYPING_REST = 200; // milliseconds of rest before a search is sent
const FINDS = 12;

/**
 * `places` holds the elements; `gallery()` is what is known of the gallery {hash, count} or null.
 * `voted()` follows a vote, `told(text)` is for those who hear the page.
 */
function createTwo({ places, source, choice, gallery, maxBytes, consent, voted, open, told, failed }) {
  const slots = {};
  let turn = 0;
  let asking = null; // AbortController
  let answer = null;
  const other = (side) => (side === 'left' ? 'right' : 'left');
  const nameOf = (content) => content.file ? content.file.name : content.brief.title || say('untitled');

  // --- slots -----------------------------------------------------------------------------------------

  const showSlot = (slot) => {
    const { content } = slot;
    slot.root.dataset.state = content ? 'picture' : 'empty';
    slot.picture.hidden = !content;
    slot.unseen.hidden = true;
    slot.see.hidden = !content?.brief;
    if (!content) {
      slot.picture.removeAttribute('src');
      write(slot.name, '');
      write(slot.score, '');
      return;
    }
    const name = nameOf(content);
    const address = content.url ?? source.image(content.brief.number, content.hash);
    if (slot.picture.src !== address) slot.picture.src = address;
    slot.picture.alt = name;
    slot.root.dataset.number = content.brief?.number ?? '';
    slot.see.setAttribute('aria-label', say('see_named', { title: name }));
    slot.see.title = say('see');
    write(slot.name, name);
  };
  const put = (side, content) => {
    const slot = slots[side];
    const gone = slot.content;
    slot.content = content;
    if (gone?.url && !Object.values(slots).some((each) => each.content?.url === gone.url)) {
      URL.revokeObjectURL(gone.url);
    }
    closeSearch(slot);
    showSlot(slot);
  };
  const give = (side, file) => {
    if (file.size > maxBytes) {
      failed(new Refusal(say('too_large', { size: bytes(file.size), limit: bytes(maxBytes) })));
      return;
    }
    put(side, { file, url: URL.createObjectURL(file) });
    compare();
  };
  const briefOf = async (number) => (await source.briefs([number]))[0];
  const anyNumber = (count, without) => {
    if (count < 2) return 0;
    let number = 0;
    do number = Math.floor(Math.random() * count); while (number === without);
    return number;
  };
  const draw = async (side) => {
    const of = gallery();
    if (!of?.count) return;
    const without = slots[other(side)].content?.brief?.number;
    put(side, { brief: await briefOf(anyNumber(of.count, without)), hash: of.hash });
  };
  const attempt = async (act) => {
    try {
      await act();
    } catch (error) {
      failed(error, () => attempt(act));
      return;
    }
    compare();
  };

  const closeSearch = (slot) => {
    slot.search.hidden = true;
    slot.find.setAttribute('aria-expanded', 'false');
  };
  const search = async (slot) => {
    const mine = ++slot.typed;
    const query = slot.field.value.trim();
    write(slot.none, '');
    if (!query) {
      slot.finds.replaceChildren();
      return;
    }
    let found = null;
    let pictures = [];
    try {
      found = await source.search(query);
      // A tag by its very name is what was meant; else titles come first.
      const tag = named(found.tags, query) ?? (found.pictures.length ? null : found.tags[0]);
      pictures = tag ? await source.briefs(await source.withTag(tag.tag, found.hash, FINDS))
        : found.pictures.slice(0, FINDS);
    } catch (error) {
      if (mine === slot.typed) failed(error);
      return;
    }
    if (mine !== slot.typed) return;
    write(slot.none, pictures.length ? '' : say('search_none', { query }));
    slot.finds.replaceChildren(...pictures.map((brief) => {
      const item = make('li');
      const button = make('button', 'cp-find-tile');
      button.type = 'button';
      button.title = say('search_pick', { title: brief.title || say('untitled') });
      button.setAttribute('aria-label', button.title);
      const picture = make('img');
      picture.alt = '';
      picture.src = source.image(brief.number, found.hash);
      button.append(picture);
      button.addEventListener('click', () => {
        put(slot.side, { brief, hash: found.hash });
        slot.find.focus({ preventScroll: true });
        compare();
      });
      item.append(button);
      return item;
    }));
  };

  for (const root of places.slots) {
    const at = (name) => root.querySelector(`.cp-${name}`);
    const slot = {
      root, side: root.dataset.side, content: null, typed: 0, timer: 0, picture: at('picture'), unseen: at('unseen'),
      name: at('slot-name'), score: at('score'), see: at('see'), find: at('find'), search: at('search'),
      field: root.querySelector('.cp-search input'), none: at('none'), finds: at('finds'), input: at('file'),
      frame: at('frame'), random: at('random'),
    };
    slots[slot.side] = slot;
    slot.picture.addEventListener('error', () => {
      // What the browser cannot decode (HEIC, TIFF) has its name there.
      if (!slot.content) return;
      slot.picture.hidden = true;
      slot.unseen.hidden = false;
      write(slot.unseen, say('no_preview', { name: nameOf(slot.content) }));
    });
    at('choose').addEventListener('click', () => slot.input.click());
    slot.frame.addEventListener('click', () => { if (!slot.content) slot.input.click(); });
    slot.input.addEventListener('change', () => {
      const [file] = slot.input.files;
      slot.input.value = ''; // so that the same file can be chosen again
      if (file) give(slot.side, file);
    });
    slot.random.addEventListener('click', () => attempt(() => draw(slot.side)));
    slot.see.addEventListener('click', () => { if (slot.content?.brief) open(slot.content.brief); });
    slot.find.addEventListener('click', () => {
      slot.search.hidden = !slot.search.hidden;
      slot.find.setAttribute('aria-expanded', String(!slot.search.hidden));
      if (!slot.search.hidden) slot.field.focus({ preventScroll: true });
    });
    slot.field.addEventListener('input', (event) => {
      clearTimeout(slot.timer);
      if (!event.isComposing) slot.timer = setTimeout(() => search(slot), TYPING_REST);
    });
    slot.field.addEventListener('compositionend', () => {
      slot.timer = setTimeout(() => search(slot), TYPING_REST);
    });
    slot.field.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Escape') {
        event.preventDefault();
        closeSearch(slot);
        slot.find.focus({ preventScroll: true });
      } else if (event.key === 'Enter') {
        event.preventDefault();
        clearTimeout(slot.timer);
        search(slot);
      }
    });
    showSlot(slot);
  }
  places.randomPair.addEventListener('click', () => attempt(async () => {
    await draw('left');
    await draw('right');
  }));
  places.swap.addEventListener('click', () => {
    const { left, right } = slots;
    [left.content, right.content] = [right.content, left.content];
    showSlot(left);
    showSlot(right);
    compare();
  });

  // --- the answer ------------------------------------------------------------------------------------

  const fill = (form) => {
    for (const [side, { content }] of Object.entries(slots)) {
      if (content.file) {
        form.set(side, content.file, content.file.name || 'picture');
      } else {
        form.set(`${side}_number`, content.brief.number);
        form.set('hash', content.hash);
      }
    }
    return form;
  };
  const setState = (name) => {
    places.result.dataset.state = name;
    places.result.setAttribute('aria-busy', String(name === 'busy'));
  };
  const rowOf = ({ label, name, tag, left, right, speaks_for: side, weight }, most) => {
    const item = make('li', 'cp-why-row');
    item.dataset.side = side;
    const size = most > 0 ? Math.abs(weight) / most : 0;
    item.style.setProperty('--cp-size', Math.max(0.04, size));
    // What one has and the other lacks may speak for the one without.
    const lacks = side === 'left' ? left < right : right < left;
    const button = wordChip({ tag: name ?? tag, label });
    if (lacks) button.textContent = say('why_without', { label });
    const shares = make('small', '', say('shares', { left: percent(left), right: percent(right) }));
    item.append(make('i', 'cp-why-left'), button, make('i', 'cp-why-right'), shares);
    button.title = say('why_row', {
      label, left: percent(left), right: percent(right), side: say(side === 'left' ? 'side_left' : 'side_right'),
    });
    button.setAttribute('aria-label', button.title);
    return item;
  };
  const showAnswer = () => {
    const { left, right, p_left: p, tie, why } = answer;
    for (const [side, told] of [['left', left], ['right', right]]) {
      write(slots[side].score, say('score', { value: told.score.toFixed(2).replace('-', '−') }));
    }
    const verdict = tie ? 'tie' : p >= 0.5 ? 'left' : 'right';
    const name = answer.ranker?.label || choice.label;
    write(places.verdict, say(`verdict_${verdict}`, { name }));
    places.result.dataset.verdict = verdict;
    places.odds.style.setProperty('--cp-left-share', p);
    // Both sides add up to the whole, as they are written.
    const [onLeft, onRight] = [percent(p), percent(1 - p)];
    write(places.oddsLeft, onLeft);
    write(places.oddsRight, onRight);
    places.odds.setAttribute('aria-label', say('odds', { left: onLeft, right: onRight }));
    const most = Math.max(...why.map(({ weight }) => Math.abs(weight)));
    places.why.replaceChildren(...why.slice(0, WHY).map((entry) => rowOf(entry, most)));
    if (!why.length) places.why.append(make('li', 'cp-none', say('why_none')));
    setState('done');
    told(places.verdict.textContent + words.gap + places.odds.getAttribute('aria-label'));
  };
  /** `noted`: of the same pictures, whose vote the line below the bar still speaks of. */
  const compare = async ({ noted = false } = {}) => {
    const mine = ++turn;
    asking?.abort();
    if (!noted) write(places.ownLine, '');
    const filled = Object.values(slots).filter(({ content }) => content).length;
    if (filled < 2 || !choice.ready) {
      answer = null;
      for (const { score } of Object.values(slots)) write(score, '');
      write(places.verdict, say(filled ? 'two_one' : 'two_empty'));
      setState('empty');
      return;
    }
    asking = new AbortController();
    setState('busy');
    if (!answer) write(places.verdict, say('two_reading'));
    const form = fill(new FormData());
    choice.fill(form);
    try {
      const found = await source.compare(form, asking.signal);
      if (mine !== turn) return;
      answer = found;
      showAnswer();
    } catch (error) {
      if (error.name === 'AbortError' || mine !== turn) return;
      setState(answer ? 'done' : 'empty');
      if (!answer) write(places.verdict, '');
      if (/^(ranker|taste)-/.test(error.code)) choice.drop();
      failed(error, compare);
    }
  };

  // --- a vote on it ----------------------------------------------------------------------------------

  for (const node of places.own) {
    node.addEventListener('click', async () => {
      const [left, right] = [slots.left.content, slots.right.content];
      if (!left || !right || places.result.dataset.state !== 'done') return;
      const facts = {
        choice: node.dataset.choice, kind: 'own', consent: consent(), key: randomKey(),
        ranker: choice.value.ranker, next: 0,
      };
      let body = null;
      if (left.brief && right.brief) {
        body = { ...facts, hash: left.hash, left: left.brief.number, right: right.brief.number };
      } else {
        body = fill(new FormData());
        for (const [name, value] of Object.entries(facts)) body.set(name, String(value));
      }
      try {
        await source.vote(body);
      } catch (error) {
        failed(error);
        return;
      }
      write(places.ownLine, say('own_noted'));
      told(say('own_noted'));
      voted();
      if (choice.value.ranker === 'taste') compare({ noted: true });
    });
  }

  write(places.verdict, say('two_empty'));
  return {
    compare,
    give,
    put(side, content) { put(side, content); },
    /** Where a picture goes that comes without a place: an empty slot, else the one in use. */
    place() {
      if (!slots.left.content) return 'left';
      if (!slots.right.content) return 'right';
      return slots.right.root.contains(document.activeElement) ? 'right' : 'left';
    },
    /** Two of the gallery, where nothing is yet. */
    begin() {
      const of = gallery();
      for (const { random, find } of Object.values(slots)) random.hidden = find.hidden = !of?.count;
      places.randomPair.hidden = !of?.count;
      if (slots.left.content || slots.right.content || !(of?.count > 1)) return compare();
      return attempt(async () => {
        await draw('left');
        await draw('right');
      });
    },
  };
}
