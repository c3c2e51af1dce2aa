/* What this visitor has saved: counts by word, pictures, and a panel for the one that is chosen. */

/**
 * `places` holds the elements, `call(name, data)` asks the server, `take(drawing)` brings one back to
 * the pad, `changed(answer)` follows what changed the counts.
 */
function createGallery({ places, call, take, changed, pickWord }) {
  const AT_ONCE = 24;
  let drawings = [];
  let counts = [];
  let filter = '';
  let total = 0;
  let chosen = null;
  let turn = 0;

  const tile = (drawing) => {
    const entry = make('li');
    const button = make('button', 'dr-tile');
    button.type = 'button';
    button.dataset.id = drawing.id;
    button.append(svgPicture(fromJson(drawing.strokes)), make('span', 'dr-caption', drawing.label));
    const date = new Date(drawing.created).toLocaleDateString(lang);
    button.title = say('tile', { label: drawing.label, date });
    button.setAttribute('aria-label', button.title);
    button.addEventListener('click', () => choose(chosen === drawing ? null : drawing));
    entry.append(button);
    return entry;
  };

  const choose = (drawing) => {
    chosen = drawing;
    for (const node of places.tiles.querySelectorAll('.dr-tile')) {
      node.setAttribute('aria-expanded', String(node.dataset.id === String(drawing?.id)));
    }
    places.panel.hidden = !drawing;
    if (!drawing) return;
    places.large.replaceChildren(svgPicture(fromJson(drawing.strokes), 4));
    pickWord.text = drawing.label;
    disarm(places.remove);
    places.panel.scrollIntoView({ block: 'nearest' });
    places.relabelField.focus({ preventScroll: true });
  };

  // A second click within the same visit to the button: what goes does not come back.
  const arm = (button, act) => {
    button.addEventListener('click', () => {
      if (button.dataset.armed) {
        disarm(button);
        act();
      } else {
        button.dataset.armed = 'true';
        button.textContent = say(button.dataset.sure);
      }
    });
    button.addEventListener('blur', () => disarm(button));
  };
  const disarm = (button) => {
    delete button.dataset.armed;
    button.textContent = say(button.dataset.word);
  };

  const showCounts = () => {
    places.chips.replaceChildren(...counts.map((entry) => {
      const item = make('li');
      const button = make('button', 'dr-count');
      button.type = 'button';
      button.setAttribute('aria-pressed', String(filter === entry.word));
      button.append(make('span', 'dr-word', entry.label), make('span', 'dr-number', String(entry.count)));
      let name = say('count', entry);
      if (entry.missing > 0) {
        const dots = make('span', 'dr-dots');
        for (let i = 0; i < entry.count + entry.missing; i++) {
          dots.append(make('i', i < entry.count ? 'dr-full' : ''));
        }
        button.append(dots);
        name += words.gap + say('missing', entry);
      }
      button.title = name;
      button.setAttribute('aria-label', name);
      button.addEventListener('click', () => {
        filter = filter === entry.word ? '' : entry.word;
        load();
      });
      item.append(button);
      return item;
    }));
  };

  const show = () => {
    const all = counts.reduce((sum, entry) => sum + entry.count, 0);
    places.root.dataset.state = all ? 'some' : 'none';
    places.sum.textContent = all ? [
      say(all === 1 ? 'sum_drawing' : 'sum_drawings', { count: all }),
      say(counts.length === 1 ? 'sum_word' : 'sum_words', { count: counts.length }),
    ].join(words.separator) : '';
    places.more.hidden = drawings.length >= total;
    places.withdraw.hidden = !all;
    showCounts();
    places.tiles.replaceChildren(...drawings.map(tile));
    const still = drawings.find((drawing) => drawing.id === chosen?.id) ?? null;
    if (chosen && !still) choose(null);
    else chosen = still;
    if (chosen) places.tiles.querySelector(`[data-id="${CSS.escape(chosen.id)}"]`)?.setAttribute('aria-expanded', 'true');
  };

  const load = async (from = 0) => {
    const mine = ++turn;
    const limit = from ? AT_ONCE : Math.max(AT_ONCE, drawings.length);
    const answer = await call('gallery', { label: filter, offset: from, limit });
    if (mine !== turn || !answer) return;
    ({ counts, total } = answer);
    if (filter && !counts.some((entry) => entry.word === filter)) {
      filter = '';
      await load();
      return;
    }
    drawings = from ? [...drawings, ...answer.drawings] : answer.drawings;
    show();
    changed(answer);
  };

  places.more.addEventListener('click', async () => {
    const before = drawings.length;
    await load(before);
    places.tiles.children[before]?.firstChild.focus();
  });
  places.open.addEventListener('click', () => { if (chosen) take(chosen); });
  places.close.addEventListener('click', () => {
    const id = chosen?.id;
    choose(null);
    places.tiles.querySelector(`[data-id="${CSS.escape(String(id))}"]`)?.focus();
  });
  const relabel = async () => {
    if (!chosen || !pickWord.text) return;
    const answer = await call('relabel', { id: chosen.id, label: pickWord.text });
    if (!answer) return;
    await load();
    places.told(say('relabelled', answer.saved));
  };
  places.relabel.addEventListener('click', relabel);
  arm(places.remove, async () => {
    const gone = chosen;
    if (!gone || !(await call('remove', { id: gone.id }))) return;
    choose(null);
    await load();
    places.told(say('removed', gone));
    (places.tiles.querySelector('button') ?? places.root).focus();
  });
  arm(places.withdraw, async () => {
    const answer = await call('withdraw', {});
    if (!answer) return;
    choose(null);
    filter = '';
    drawings = [];
    await load();
    places.told(say('withdrawn', answer));
  });
  return { load, relabel, close: () => choose(null) };
}
