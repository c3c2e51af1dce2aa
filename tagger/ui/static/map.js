/* A map of points that is looked at, moved, asked and cut: ExploreMap.create(root, options).
 *
 * Whoever points, clicks, cuts or zooms is answered here, over typed arrays; the answer shows on a
 * canvas above the points. The points themselves are drawn by one of two renderers with the same few
 * functions: a Canvas 2D, which is there at once, and plotly's WebGL, which takes over when its script
 * has come, where a graphics card is behind it. So the map can be used before the large script has
 * arrived, and without it. Words from outside enter through attributes alone.
 */
const ExploreMap = (() => {
  const MARGIN = 28; // pixels around all points when the map is reset
  const APART = 48; // pixels between points that usually lie next to each other: as near as zoomTo goes
  const FARTHEST = 0.4; // scales of the view, beside that which shows all points
  const CLOSEST = 2000;
  const STEP = 1.5; // of the buttons and keys that zoom
  const GLIDE = 260; // milliseconds of a change of view
  const FALL = 700; // milliseconds of a pin's
  const NEARER = 1.02; // scale, beside that of the whole map, from which one has come nearer
  const REACH = { mouse: 9, pen: 12, touch: 22 }; // pixels from which a point is meant

  const element = (tag, className) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    return node;
  };

  /**
   * @param {HTMLElement} root  gets all of it; its size is the map's
   * @param {object} options
   * @param {boolean} [options.dark]
   * @param {boolean} [options.reduced]  no motion
   * @param {object} options.words  see map_words.py
   * @param {string|null} [options.plotly]  where plotly's script is; without it, Canvas 2D alone
   * @param {string} [options.renderer]  "canvas": never WebGL; "webgl": also without a graphics card
   */
  function create(root, options) {
    const { words = {}, reduced = false } = options;
    const listeners = new Map();
    const emit = (name, detail = {}) => {
      for (const listener of listeners.get(name) ?? []) listener(detail);
    };

    root.classList.add('mp-map');
    const stage = element('div', 'mp-stage');
    const over = element('canvas', 'mp-over');
    over.tabIndex = 0;
    over.setAttribute('role', 'application');
    over.setAttribute('aria-label', words.map_label ?? '');
    over.setAttribute('aria-description', words.map_keys ?? '');
    const tools = MapTools.create(words, (name) => use(name));
    root.replaceChildren(stage, over, tools.element);
    const marks = MapMarks.create(over);

    let points = { count: 0, x: new Float32Array(0), y: new Float32Array(0), z: null };
    let flat = points; // x and y as they lie in the plane that is shown
    let room = null; // of points that have a z, too
    let turn = { yaw: 0, pitch: 0 };
    let grid = null; // of `flat`, made when it is first needed
    let bounds = { left: 0, right: 1, bottom: 0, top: 1 };
    let colours = { kind: 'category', values: new Uint8Array(0), palette: ['#808080'] };
    let table = MapScene.tableOf(colours);
    let visible = null;
    let selection = null;
    let painted = { order: new Uint32Array(0), dim: 0 };
    let version = 0; // of what is drawn, apart from the view
    let focus = null;
    let lines = [];
    let marker = null; // {x, y, z, since}
    let hovered = -1;
    let mode = 'pan';
    let shape = null; // {x: [], y: []} in pixels: what is being cut out
    let size = { width: 0, height: 0 };
    let view = { x: 0, y: 0, scale: 1 };
    let whole = view; // that shows all points
    let shownView = null; // that was last told of
    let fresh = false; // points that have not been painted yet
    let glide = null; // {from, to, start}
    let frame = 0;
    let inks = {};
    let gone = false;

    // --- drawing ---

    const canvas = MapCanvas.create(stage);
    let webgl = null; // the other renderer, once it is there
    let used = canvas;
    let drawn = null; // {view, version, size}: what the points were last drawn for
    const density = () => Math.min(2, Math.max(1, window.devicePixelRatio || 1));

    const readInks = () => {
      const style = getComputedStyle(root);
      const ink = (name) => style.getPropertyValue(name).trim();
      inks = {
        ground: MapScene.parse(ink('--mp-ground')), ink: ink('--mp-ink'), paper: ink('--mp-ground'),
        accent: ink('--mp-accent'), seal: ink('--mp-seal'),
      };
    };

    const radius = () => MapScene.radiusFor(points.count, size, view.scale / whole.scale);
    const sceneOf = () => ({
      x: flat.x, y: flat.y, order: painted.order, values: colours.values, colours: table,
      layers: MapScene.layersOf(painted, radius(), room && flat.near),
      ground: inks.ground, radius: radius(), version,
    });

    const changed = () => {
      version++;
      repaint();
    };
    const sort = () => {
      const ranks = room ? flat.near : colours.kind === 'scale' ? colours.values : null;
      painted = MapScene.paintingOrder(points.count, ranks, visible, selection);
      changed();
    };

    /** Where a place of the data lies in the plane that is shown. */
    const laid = (place) => {
      if (!room) return place;
      const one = { count: 1, x: [place.x], y: [place.y], z: [place.z ?? room.z] };
      const { x: [x], y: [y] } = MapSpace.turned(one, room, turn);
      return { x, y };
    };
    const pixelsOf = (place) => {
      const { x, y } = laid(place);
      return MapSpace.toPixels(view, size, x, y);
    };
    const at = (n) => MapSpace.toPixels(view, size, flat.x[n], flat.y[n]);
    const known = (n) => Number.isInteger(n) && n >= 0 && n < points.count;

    /** What lies above the points; true while it still moves. */
    const paintMarks = (now) => {
      const mine = marker && pixelsOf(marker);
      const focused = known(focus) ? at(focus) : null;
      const from = focused ?? mine;
      const share = !marker || reduced ? 1 : Math.min(1, (now - marker.since) / FALL);
      marks.paint({
        focus: focused, hovered: hovered >= 0 ? at(hovered) : null, shape,
        lines: from && lines.length ? { from, to: lines.map(at) } : null,
        pin: mine && { place: mine, share },
      }, radius(), inks, density());
      return share < 1;
    };

    const paint = (now) => {
      frame = 0;
      if (gone || !size.width || !size.height) return;
      if (glide) {
        const share = Math.min(1, (now - glide.start) / GLIDE);
        view = MapSpace.between(glide.from, glide.to, 1 - (1 - share) ** 3);
        if (share >= 1) glide = null;
      }
      // In a room only the canvas draws: plotly's has no lasso, and asks the card at every hover.
      const renderer = webgl && !room ? webgl : canvas;
      if (!drawn || drawn.view !== view || drawn.version !== version || drawn.size !== size
          || renderer !== used) {
        drawn = { view, version, size };
        try {
          renderer.paint(sceneOf(), view, size);
        } catch (error) {
          if (renderer === canvas) throw error;
          failed(error);
          return;
        }
      }
      if (renderer !== used) {
        used.element.hidden = true;
        renderer.element.hidden = false;
        used = renderer;
        root.dataset.renderer = used.name;
        emit('renderer', { renderer: used.name });
      }
      if (paintMarks(now) || glide) repaint();
      if (!glide && shownView !== view) {
        shownView = view;
        letPass();
        emit('view');
      }
      if (fresh) {
        fresh = false;
        root.dataset.ready = 'true';
        emit('ready', { renderer: used.name });
      }
    };
    const repaint = () => { frame ||= requestAnimationFrame(paint); };

    // --- the view ---

    /** A finger that goes up or down scrolls the page, until somebody has come nearer to the map. */
    const letPass = () => {
      const pass = mode === 'pan' && !room && view.scale <= whole.scale * NEARER;
      over.dataset.pass = String(pass);
    };

    const within = (scale) =>
      Math.min(whole.scale * CLOSEST, Math.max(whole.scale * FARTHEST, scale));
    const bounded = ({ x, y, scale }) => ({
      // The middle of the window never leaves the points' box.
      x: Math.min(bounds.right, Math.max(bounds.left, x)),
      y: Math.min(bounds.top, Math.max(bounds.bottom, y)),
      scale: within(scale),
    });
    const look = (next, gently = false) => {
      next = bounded(next);
      if (gently && !reduced && size.width) {
        glide = { from: view, to: next, start: performance.now() };
      } else {
        glide = null;
        view = next;
      }
      repaint();
    };
    const target = () => glide?.to ?? view;
    const zoomBy = (factor, px = size.width / 2, py = size.height / 2, gently = false) => {
      look(MapSpace.scaledTo(target(), size, within(target().scale * factor), px, py), gently);
    };

    /** Turn what lies in a room by so many pixels of movement. */
    const turnBy = (dx, dy) => {
      const pitch = Math.max(-1.5, Math.min(1.5, turn.pitch + dy * 0.008));
      turn = { yaw: turn.yaw + dx * 0.008, pitch };
      flat = MapSpace.turned(points, room, turn);
      grid = null;
      sort();
    };

    const resize = () => {
      const { clientWidth: width, clientHeight: height } = root;
      const ratio = density();
      const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (!width || !height) return;
      if (width === size.width && height === size.height && over.width === across) return;
      const before = whole;
      const first = !size.width;
      size = { width, height };
      [over.width, over.height] = [across, down];
      canvas.resize(size, ratio);
      whole = MapSpace.fit(bounds, size, MARGIN);
      glide = null;
      view = first ? whole : { ...view, scale: (view.scale * whole.scale) / before.scale };
      // At once: a canvas of a new size is empty.
      cancelAnimationFrame(frame);
      paint(performance.now());
    };

    // --- asking ---

    const gridNow = () => (grid ??= MapSpace.makeGrid(flat.x, flat.y));
    const pointAt = (px, py, kind) => {
      const reach = Math.max(REACH[kind] ?? REACH.mouse, radius() + 4) / view.scale;
      return gridNow().nearest(...MapSpace.toData(view, size, px, py), reach, visible);
    };
    const hover = (n) => {
      if (n === hovered) return;
      hovered = n;
      over.dataset.hover = n >= 0 ? 'true' : 'false';
      repaint();
      if (n < 0) {
        emit('leave');
      } else {
        const [x, y] = at(n);
        emit('hover', { number: n, x, y });
      }
    };

    const choose = (mask) => {
      const count = mask.reduce((sum, value) => sum + value, 0);
      selection = count ? mask : null;
      sort();
      emit('select', { mask, count });
    };
    const cut = (line, change) => {
      const x = Float64Array.from(line.x, (px, i) => MapSpace.toData(view, size, px, line.y[i])[0]);
      const y = Float64Array.from(line.y, (py, i) => MapSpace.toData(view, size, line.x[i], py)[1]);
      const { mask } = MapSpace.insidePolygon(flat.x, flat.y, x, y, visible);
      if (change === 'add' && selection) {
        for (let n = 0; n < mask.length; n++) mask[n] |= selection[n];
      } else if (change === 'remove') {
        for (let n = 0; n < mask.length; n++) mask[n] = selection && !mask[n] ? selection[n] : 0;
      }
      choose(mask);
    };

    // --- the hand ---

    const hand = MapHand.listen(over, {
      tool: () => (mode === 'pan' && room ? 'turn' : mode),
      begin() { glide = null; },
      point(x, y, kind) { if (!glide) hover(pointAt(x, y, kind)); },
      leave() { hover(-1); },
      passes: () => over.dataset.pass === 'true',
      pan(dx, dy) { look(MapSpace.movedBy(view, dx, dy)); },
      turn: turnBy,
      pinch(from, to) {
        const moved = MapSpace.movedBy(view, to.x - from.x, to.y - from.y);
        const scale = within(moved.scale * to.far / from.far);
        look(MapSpace.scaledTo(moved, size, scale, to.x, to.y));
      },
      zoom: (factor, x, y) => zoomBy(factor, x, y),
      draw(line) {
        shape = line;
        repaint();
      },
      cut,
      tap(x, y, kind) {
        const n = pointAt(x, y, kind);
        if (kind === 'touch') hover(n);
        if (n >= 0) emit('click', { number: n, x: at(n)[0], y: at(n)[1] });
        else emit('empty', { x, y });
      },
    });

    // --- keys and tools ---

    const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const arrow = ARROWS[event.key];
      const tool = tools.byKey(event.key);
      if (arrow) {
        const far = Math.min(size.width, size.height) * (event.shiftKey ? 0.4 : 0.12);
        if (room) turnBy(arrow[0] * far * 0.4, arrow[1] * far * 0.4);
        else look(MapSpace.movedBy(target(), arrow[0] * far, arrow[1] * far), true);
        hover(-1);
      } else if (tool) {
        use(tool);
      } else if (event.key === 'Escape') {
        if (hand.busy) hand.abandon();
        else if (selection) choose(new Uint8Array(points.count));
        else return;
      } else {
        return;
      }
      event.preventDefault();
    };
    over.addEventListener('keydown', onKey);

    const setMode = (next) => {
      if (!MapTools.MODES.includes(next)) return;
      hand.abandon();
      const other = mode !== next;
      mode = next;
      over.dataset.mode = mode;
      letPass();
      tools.press(mode);
      if (other) emit('mode', { mode });
    };
    function use(name) {
      hover(-1);
      if (name === 'in') zoomBy(STEP, undefined, undefined, true);
      else if (name === 'out') zoomBy(1 / STEP, undefined, undefined, true);
      else if (name === 'reset') look(whole, true);
      else setMode(name);
    }
    // --- which renderer ---

    const fallBack = (reason) => {
      if (gone || root.dataset.fallback) return; // once is enough
      const old = webgl;
      webgl = null;
      root.dataset.fallback = reason;
      old?.destroy();
      changed();
      emit('fallback', { reason });
    };
    const failed = (error) => {
      console.warn('The map goes on without WebGL:', error);
      fallBack('plotly-failed');
    };
    /** Let WebGL take over, or say why not. */
    const bringWebgl = async () => {
      const wanted = options.renderer ?? new URLSearchParams(location.search).get('renderer');
      if (wanted === 'canvas') return fallBack('asked');
      if (!options.plotly) return fallBack('plotly-missing');
      const found = MapPlot.find();
      if (!found) return fallBack('webgl-missing');
      // Without a card a view of many points takes a second, where the canvas takes a frame.
      if (found !== 'card' && wanted !== 'webgl') return fallBack('webgl-slow');
      try {
        const plotly = await MapPlot.fetchScript(options.plotly);
        if (gone) return undefined;
        webgl = MapPlot.create(stage, plotly, {
          ratio: density(), lost: () => fallBack('webgl-lost'), failed,
        });
        return changed();
      } catch (error) {
        return failed(error);
      }
    };

    // --- begin ---

    const watcher = new ResizeObserver(resize);
    watcher.observe(root);
    window.addEventListener('resize', resize);
    const themes = new MutationObserver(() => map.setTheme({}));
    themes.observe(document.body, { attributes: true, attributeFilter: ['class'] });
    root.dataset.renderer = 'canvas';
    delete root.dataset.fallback;
    if (options.dark !== undefined) root.dataset.theme = options.dark ? 'dark' : 'light';
    readInks();
    setMode('pan');
    resize();

    const map = {
      /** `name`: ready, renderer, fallback, mode, view, hover, leave, click, empty, select. */
      on(name, listener) {
        listeners.set(name, [...(listeners.get(name) ?? []), listener]);
        return map;
      },
      get mode() { return mode; },
      set mode(next) { setMode(next); },
      get renderer() { return used.name; },
      /** Where a point, or a place of the plane, is in pixels of the root. */
      pixels(place) {
        return known(place) ? at(place) : pixelsOf(place);
      },
      /** The points that can be seen; none of them where they are more than `most`. */
      inView(most) {
        const numbers = [];
        const [left, top] = MapSpace.toData(view, size, 0, 0);
        const [right, bottom] = MapSpace.toData(view, size, size.width, size.height);
        for (let n = 0; n < points.count; n++) {
          if (flat.x[n] < left || flat.x[n] > right || flat.y[n] < bottom || flat.y[n] > top) continue;
          if (visible && !visible[n]) continue;
          if (numbers.push(n) > most) return [];
        }
        return numbers;
      },
      /** New points; what was selected, hidden, focused and marked is forgotten. */
      setPoints({ count, x, y, z = null }) {
        points = { count, x, y, z };
        room = z ? MapSpace.roomOf(points) : null;
        turn = { yaw: 0.6, pitch: 0.35 };
        flat = room ? MapSpace.turned(points, room, turn) : points;
        grid = null;
        visible = selection = null;
        focus = marker = null;
        lines = [];
        hover(-1);
        if (colours.values.length < count) colours = { ...colours, values: new Uint8Array(count) };
        const { reach } = room ?? {};
        bounds = room ? { left: -reach, right: reach, bottom: -reach, top: reach }
          : MapSpace.boundsOf(x, y) ?? { left: 0, right: 1, bottom: 0, top: 1 };
        tools.name(Boolean(room));
        whole = MapSpace.fit(bounds, size, MARGIN);
        view = whole;
        glide = null;
        fresh = true;
        root.dataset.ready = 'false';
        sort();
      },
      setColours(next) {
        colours = next;
        table = MapScene.tableOf(next);
        sort();
      },
      setVisible(mask) {
        visible = mask;
        if (hovered >= 0 && mask && !mask[hovered]) hover(-1);
        sort();
      },
      setSelection(mask) {
        selection = mask && mask.some((value) => value) ? mask : null;
        sort();
      },
      /** A ring around a point and lines to others; with null, the lines begin at the marker. */
      setFocus(n, { lines: others = [] } = {}) {
        focus = n;
        lines = [...others].filter(known);
        repaint();
      },
      setMarker(place) {
        marker = place && { x: place.x, y: place.y, z: place.z, since: performance.now() };
        if (marker) {
          const { x: px, y: py } = laid(marker);
          const [across, down] = MapSpace.toPixels(target(), size, px, py);
          const inside = across > 16 && across < size.width - 16 && down > 40 && down < size.height - 8;
          if (!inside) look({ ...target(), x: px, y: py }, true);
        }
        repaint();
      },
      /** Show these points, and the marker, too, if `withMarker`. */
      zoomTo(numbers, { withMarker = false } = {}) {
        const some = [...numbers].filter(known);
        const x = Float64Array.from(some, (n) => flat.x[n]);
        const y = Float64Array.from(some, (n) => flat.y[n]);
        const also = withMarker && marker ? [laid(marker)] : [];
        const around = MapSpace.boundsOf(
          [...x, ...also.map((place) => place.x)], [...y, ...also.map((place) => place.y)],
        );
        if (!around) return;
        const next = MapSpace.fit(around, size, 3 * MARGIN);
        // One point, or some in one place: as close as points usually lie apart.
        const apart = Math.sqrt(
          ((bounds.right - bounds.left) * (bounds.top - bounds.bottom)) / Math.max(1, points.count),
        );
        look({ ...next, scale: Math.min(next.scale, APART / Math.max(apart, 1e-12)) }, true);
      },
      reset() { look(whole, true); },
      clearSelection() { if (selection) choose(new Uint8Array(points.count)); },
      setTheme({ dark } = {}) {
        if (dark !== undefined) root.dataset.theme = dark ? 'dark' : 'light';
        readInks();
        changed();
      },
      resize,
      destroy() {
        gone = true;
        cancelAnimationFrame(frame);
        watcher.disconnect();
        themes.disconnect();
        window.removeEventListener('resize', resize);
        webgl?.destroy();
        listeners.clear();
        root.replaceChildren();
        root.classList.remove('mp-map');
      },
    };
    // After the listeners of whoever made it are in place, and what they show first is shown.
    const idle = window.requestIdleCallback ?? ((begin) => setTimeout(begin, 50));
    idle(() => { if (!gone) bringWebgl(); }, { timeout: 500 });
    return map;
  }

  return { create };
})();
