/* A taste in words, which can be corrected, and as a file, which can be kept and shared. */
const ENDS = 8; // pictures of either end
const MORE = 40; // that are asked for at once where somebody wants to see more
const PAGE = 200; // of one request, at most
const STEP = 0.1; // of a word's weight, by a button
const FRESH_WEIGHT = 0.5; // of a word that the visitor adds
const FOUND_WORDS = 8;

/** A weight as it is written: with its sign. */
const signed = (weight) => {
  const rounded = Math.round(100 * weight);
  return (rounded > 0 ? '+' : rounded < 0 ? '−' : '') + Math.abs(rounded);
};

/**
 * `places` holds the elements. `changed(taste)` follows what the server says after a change,
 * `stop()` lets no vote come any more before all are forgotten, `restart()` lets them come anew;
 * `told(text)` is for those who hear the page.
 */
function createTaste({ places, source, open, changed, stop, restart, told, failed }) {
  const top = createStrip(places.top, { image: source.image, open });
  const worst = createStrip(places.worst, { image: source.image, open });
  const rows = new Map(); // tag -> row
  let tags = null; // of the gallery: [{tag, name, label}]
  let sending = false;
  let latest = new Map(); // tag -> weight that waits to be sent
  let turn = 0;
  let wanted = ENDS; // of the best ones
  let blending = null; // {name, profile}

  // --- words -----------------------------------------------------------------------------------------

  const showWeight = (row, weight) => {
    row.item.style.setProperty('--cp-weight', weight);
    row.item.dataset.sign = weight < 0 ? 'minus' : 'plus';
    row.slider.value = weight;
    write(row.value, signed(weight));
    row.slider.setAttribute('aria-valuetext', signed(weight));
  };
  const makeRow = (word) => {
    const row = { item: make('li', 'cp-word'), word };
    row.item.dataset.tag = word.tag;
    row.label = wordChip(word);
    row.slider = make('input', 'cp-slider');
    row.slider.type = 'range';
    Object.assign(row.slider, { min: -1, max: 1, step: 0.05 });
    row.slider.setAttribute('aria-label', word.label);
    const scale = make('div', 'cp-scale');
    scale.append(make('i', 'cp-band'), make('i', 'cp-fill'), row.slider);
    const button = (className, text, label) => {
      const node = make('button', className, text);
      node.type = 'button';
      node.title = label;
      node.setAttribute('aria-label', label);
      return node;
    };
    row.less = button('cp-step cp-less', '−', say('word_less', word));
    row.more = button('cp-step cp-more', '+', say('word_more', word));
    row.value = make('span', 'cp-weight');
    row.release = button('cp-release-word', '↺', say('word_release', word));
    row.yours = make('small', 'cp-yours', say('word_yours'));
    row.item.append(row.label, row.less, scale, row.more, row.value, row.yours, row.release);
    row.slider.addEventListener('input', () => showWeight(row, Number(row.slider.value)));
    row.slider.addEventListener('change', () => edit(word.tag, Number(row.slider.value)));
    for (const [node, by] of [[row.less, -STEP], [row.more, STEP]]) {
      node.addEventListener('click', () => {
        const weight = Math.round(100 * Math.min(1, Math.max(-1, Number(row.slider.value) + by))) / 100;
        showWeight(row, weight);
        edit(word.tag, weight);
      });
    }
    row.release.addEventListener('click', () => {
      edit(word.tag, null);
      row.slider.focus({ preventScroll: true });
    });
    return row;
  };
  /** `sort` puts the words in their order; else each stays where the eye has it. */
  const showWords = (words, sort) => {
    const given = new Map(words.map((word) => [word.tag, word]));
    for (const tag of [...rows.keys()]) if (!given.has(tag)) rows.delete(tag);
    for (const word of words) {
      const row = rows.get(word.tag) ?? makeRow(word);
      rows.set(word.tag, row);
      row.word = word;
      row.item.style.setProperty('--cp-low', word.low);
      row.item.style.setProperty('--cp-high', word.high);
      row.item.dataset.edited = String(word.edited);
      row.yours.hidden = !word.edited;
      row.release.hidden = !word.edited;
      // What is under somebody's hand, or on its way, stays as they left it.
      if (!latest.has(word.tag) && !row.slider.matches(':active')) showWeight(row, word.weight);
    }
    const order = [...rows.values()];
    if (sort) order.sort((a, b) => b.word.weight - a.word.weight);
    const items = order.map(({ item }) => item);
    if (items.length !== places.words.children.length || items.some((item, i) => item !== places.words.children[i])) {
      const had = places.words.contains(document.activeElement) ? document.activeElement : null;
      places.words.replaceChildren(...items);
      if (had?.isConnected) had.focus({ preventScroll: true });
    }
    if (sort) {
      const entries = [...rows].sort(([, a], [, b]) => b.word.weight - a.word.weight);
      rows.clear();
      for (const [tag, row] of entries) rows.set(tag, row);
    }
    places.wordsNone.hidden = rows.size > 0;
  };
  /** Say how much a word counts; null: as the votes say. The last wish of each word is sent. */
  const edit = async (tag, weight) => {
    latest.set(tag, weight);
    if (sending) return;
    sending = true;
    try {
      while (latest.size) {
        const [[name, value]] = latest;
        const taste = await source.words(name, value);
        if (latest.get(name) === value) latest.delete(name);
        show(taste);
        changed(taste);
        const label = rows.get(name)?.word.label ?? name;
        told(value === null ? say('heard_released', { label }) : say('heard_word', { label, value: signed(value) }));
      }
    } catch (error) {
      latest.clear();
      failed(error);
      refresh({ sort: false });
    } finally {
      sending = false;
    }
    showEnds();
  };

  const pickerTags = async () => (tags ??= await source.tags());
  const picker = createPicker(places.field, places.fieldList, {
    async ask(text) {
      try {
        return fitting(await pickerTags(), text, FOUND_WORDS)
          .map(({ name, label }) => ({ word: name, label, learnt: false }));
      } catch {
        return null; // the field works without its list
      }
    },
    changed() { /* nothing depends on it before it is added */ },
    chosen: ({ word }) => add(word),
    entered: () => addTyped(),
    free: false,
  });
  const add = async (name) => {
    picker.text = '';
    await edit(name, rows.get(name)?.word.weight > FRESH_WEIGHT ? rows.get(name).word.weight : FRESH_WEIGHT);
    rows.get(name)?.slider.focus();
  };
  const addTyped = async () => {
    const text = picker.text;
    if (!text) {
      places.field.focus();
      return;
    }
    try {
      const found = named(await pickerTags(), text);
      if (found) await add(found.name);
      else failed(new Refusal(say('word_unknown', { name: text })));
    } catch (error) {
      failed(error);
    }
  };
  places.add.addEventListener('click', addTyped);

  // --- both ends -------------------------------------------------------------------------------------

  const bestOnes = async () => {
    const best = await source.order({ limit: Math.min(wanted, PAGE) });
    while (best.pictures.length < Math.min(wanted, best.total)) {
      const next = await source.order({ offset: best.pictures.length, limit: PAGE });
      if (next.hash !== best.hash || !next.pictures.length) break;
      best.pictures.push(...next.pictures.slice(0, wanted - best.pictures.length));
    }
    return best;
  };
  const showEnds = async () => {
    const mine = ++turn;
    try {
      const [best, least] = await Promise.all([
        bestOnes(), source.order({ limit: ENDS, worst: true }),
      ]);
      if (mine !== turn) return;
      top.show(best.pictures, best.hash);
      places.more.hidden = best.pictures.length >= best.total;
      worst.show(least.pictures, least.hash);
      places.root.dataset.turn = mine;
    } catch (error) {
      if (mine !== turn) return;
      if (error.code !== 'compare-no-gallery') failed(error);
    }
  };

  places.more.addEventListener('click', async () => {
    const before = wanted;
    wanted += MORE;
    await showEnds();
    // On to the first new one, where the button is gone.
    if (places.more.hidden) places.top.children[before]?.firstChild.focus({ preventScroll: true });
  });

  // --- files -----------------------------------------------------------------------------------------

  const show = (taste, { sort = false } = {}) => {
    showWords(taste.words, sort);
    const some = taste.count > 0 || taste.words.some(({ edited }) => edited) || Boolean(taste.begun_from);
    places.root.dataset.state = some ? 'some' : 'none';
    places.endsNone.hidden = some;
    for (const node of [places.save, places.blend]) node.setAttribute('aria-disabled', String(!some));
    places.begun.hidden = !taste.begun_from;
    write(places.begun, taste.begun_from ? say('begun', { name: taste.begun_from }) : '');
  };
  const refresh = async ({ sort = true } = {}) => {
    try {
      show(await source.taste(), { sort });
      await showEnds();
    } catch (error) {
      if (error.code === 'compare-no-gallery') places.root.dataset.state = 'none';
      else failed(error, () => refresh({ sort }));
    }
  };
  const arrived = (taste, text) => {
    latest = new Map();
    show(taste, { sort: true });
    changed(taste);
    told(text);
    showEnds();
  };
  places.save.addEventListener('click', async () => {
    if (places.save.getAttribute('aria-disabled') === 'true') return;
    try {
      const { blob, name } = await source.profile();
      download(blob, name);
      told(say('saved', { name }));
    } catch (error) {
      failed(error);
    }
  });
  const choose = (button, input, use) => {
    button.addEventListener('click', () => {
      if (button.getAttribute('aria-disabled') !== 'true') input.click();
    });
    input.addEventListener('change', () => {
      const [file] = input.files;
      input.value = ''; // so that the same file can be chosen again
      if (file) use(file);
    });
  };
  choose(places.load, places.loadFile, async (file) => {
    try {
      arrived(await source.load(file), say('loaded', { name: file.name }));
    } catch (error) {
      failed(error);
    }
  });
  const showShare = () => {
    const theirs = Number(places.share.value) / 100;
    write(places.shareLine, say('blend_share', { mine: percent(1 - theirs), theirs: percent(theirs) }));
    places.share.setAttribute('aria-valuetext', places.shareLine.textContent);
  };
  const closeBlend = () => {
    const inside = places.blending.contains(document.activeElement);
    blending = null;
    places.blending.hidden = true;
    if (inside) places.blend.focus();
  };
  choose(places.blend, places.blendFile, async (file) => {
    try {
      blending = { name: file.name, profile: JSON.parse(await file.text()) };
    } catch {
      failed(new Refusal(say('not_json', { name: file.name })));
      return;
    }
    write(places.blendName, say('blend_with', blending));
    places.blending.hidden = false;
    showShare();
    places.share.focus();
  });
  places.share.addEventListener('input', showShare);
  places.blendCancel.addEventListener('click', closeBlend);
  places.blendGo.addEventListener('click', async () => {
    const { name, profile } = blending;
    try {
      const taste = await source.blend(profile, Number(places.share.value) / 100);
      closeBlend();
      arrived(taste, say('blended', { name }));
    } catch (error) {
      failed(error);
    }
  });
  const disarm = () => {
    delete places.forget.dataset.armed;
    write(places.forget, say('forget'));
  };
  places.forget.addEventListener('blur', disarm);
  places.forget.addEventListener('click', async () => {
    if (!places.forget.dataset.armed) {
      places.forget.dataset.armed = 'true';
      write(places.forget, say('forget_sure'));
      return;
    }
    disarm();
    try {
      await stop();
      const { deleted } = await source.forget();
      closeBlend();
      wanted = ENDS;
      restart();
      told(say(deleted === 1 ? 'forgotten_one' : 'forgotten', { count: amount(deleted) }));
      await refresh();
    } catch (error) {
      restart(); // all is as it was
      failed(error);
    }
  });

  return { refresh };
}
