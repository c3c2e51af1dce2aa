/* A map of points that is looked at, moved, asked and cut: ExploreMap.create(root, options).
 *
 * What the hand does (hover, click, lasso, wheel, pinch, keys) is done here, over typed arrays, and
 * drawn on a canvas above the points. The points themselves are drawn by one of two renderers with
 * the same few functions: a Canvas 2D, which is there at once, and plotly's WebGL, which takes over
 * when its script has come, where a graphics card is behind it. So the map can be used before the large
 * script has arrived, and without it. Words from outside enter through attributes alone.
 */
const ExploreMap = (() => {
  const MARGIN = 28; // pixels around all points when the map is reset
  const CLOSEST = 24; // pixels between points that zoomTo may come up to, at least
  const STEP = 1.5; // of the buttons and keys that zoom
  const GLIDE = 260; // milliseconds of a change of view
  const STILL = { mouse: 4, pen: 6, touch: 10 }; // pixels that a click may move
  const REACH = { mouse: 9, pen: 12, touch: 22 }; // pixels from which a point is meant
  const MODES = ['pan', 'lasso', 'box'];

  const ICONS = {
    pan: ['M12 3v18M3 12h18', 'M9.5 5.5L12 3l2.5 2.5', 'M9.5 18.5L12 21l2.5-2.5',
      'M5.5 9.5L3 12l2.5 2.5', 'M18.5 9.5L21 12l-2.5 2.5'],
    lasso: ['M7.5 15.5C4.5 14.5 3 12.5 3 10.3 3 6.8 7 4 12 4s9 2.8 9 6.3-4 6.2-9 6.2c-.9 0-1.7-.1-2.5-.2',
      'M7.5 18.2a2 2 0 1 0 0-3.6 2 2 0 0 0 0 3.6z', 'M7 18.5c.5 1.5 0 2.5-1.5 3'],
    box: ['M4 8V4h4', 'M16 4h4v4', 'M20 16v4h-4', 'M8 20H4v-4', 'M11 4h2M11 20h2M4 11v2M20 11v2'],
    in: ['M12 5v14M5 12h14'],
    out: ['M5 12h14'],
    reset: ['M4 10V4h6', 'M4 4l6 6', 'M20 14v6h-6', 'M20 20l-6-6'],
  };
  const TOOLS = [
    ['pan', 'V'], ['lasso', 'L'], ['box', 'B'], null, ['in', '+'], ['out', '-'], ['reset', '0'],
  ];

  const element = (tag, className) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    return node;
  };
  const icon = (paths) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    for (const [name, value] of Object.entries({
      viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': '2',
      'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true',
    })) svg.setAttribute(name, value);
    for (const data of paths) {
      const path = document.createElementNS(svg.namespaceURI, 'path');
      path.setAttribute('d', data);
      svg.append(path);
    }
    return svg;
  };

  // --- colours ---

  const dot = element('canvas').getContext('2d', { willReadFrequently: true });
  /** [red, green, blue] of a colour as CSS writes it. */
  const parse = (css) => {
    dot.canvas.width = 1;
    dot.fillStyle = css || '#808080';
    dot.fillRect(0, 0, 1, 1);
    return [...dot.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const mixed = (from, to, share) => from.map((value, i) => Math.round(value + (to[i] - value) * share));
  /** A colour for each of the values 0..255. */
  const tableOf = (colours) => {
    if (colours.kind === 'scale') {
      const [from, to] = [parse(colours.from), parse(colours.to)];
      return Array.from({ length: 256 }, (_, value) => mixed(from, to, value / 255));
    }
    const palette = colours.palette.map(parse);
    return Array.from({ length: 256 }, (_, value) => palette[value % palette.length]);
  };

  /**
   * Numbers in the order in which they are painted, and how many of the first are dim.
   *
   * Those that are not selected lie below those that are, and high ranks (0..255) above low ones.
   */
  function paintingOrder(count, ranks, visible, selection) {
    const rankOf = (n) => (ranks ? ranks[n] : 0) + (selection && selection[n] ? 256 : 0);
    const starts = new Uint32Array(513);
    for (let n = 0; n < count; n++) if (!visible || visible[n]) starts[rankOf(n) + 1]++;
    for (let rank = 0; rank < 512; rank++) starts[rank + 1] += starts[rank];
    const dim = selection ? starts[256] : 0;
    const order = new Uint32Array(starts[512]);
    for (let n = 0; n < count; n++) if (!visible || visible[n]) order[starts[rankOf(n)]++] = n;
    return { order, dim };
  }

  /**
   * Points of a room as they are seen from where it has been turned to: x to the right, y upwards,
   * both from the room's middle, and how near each is, 0..255.
   */
  function turned({ count, x, y, z }, room, { yaw, pitch }) {
    const [sy, cy] = [Math.sin(yaw), Math.cos(yaw)];
    const [sp, cp] = [Math.sin(pitch), Math.cos(pitch)];
    const flat = { x: new Float32Array(count), y: new Float32Array(count), near: new Uint8Array(count) };
    for (let n = 0; n < count; n++) {
      const [a, b, c] = [x[n] - room.x, y[n] - room.y, z[n] - room.z];
      const ahead = c * cy - a * sy;
      flat.x[n] = a * cy + c * sy;
      flat.y[n] = b * cp - ahead * sp;
      flat.near[n] = 127.5 + 127 * (ahead * cp + b * sp) / room.reach;
    }
    return flat;
  }
  /** The middle of points in a room, and how far the farthest is from it. */
  function roomOf({ count, x, y, z }) {
    const middle = (values) => {
      let [low, high] = [Infinity, -Infinity];
      for (let n = 0; n < count; n++) {
        if (values[n] < low) low = values[n];
        if (values[n] > high) high = values[n];
      }
      return low <= high ? (low + high) / 2 : 0;
    };
    const room = { x: middle(x), y: middle(y), z: middle(z), reach: 1e-12 };
    for (let n = 0; n < count; n++) {
      room.reach = Math.max(room.reach, Math.hypot(x[n] - room.x, y[n] - room.y, z[n] - room.z));
    }
    return room;
  }

  // --- what the renderers need ---

  const COMPUTED = /swiftshader|llvmpipe|softpipe|software|basic render/i;
  /** What WebGL there is: "card", "computed" (by the processor, and so slow), or "" for none. */
  function findWebgl() {
    const context = element('canvas').getContext('webgl');
    if (!context) return '';
    const names = context.getExtension('WEBGL_debug_renderer_info');
    const name = context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER);
    context.getExtension('WEBGL_lose_context')?.loseContext();
    const caveat = { failIfMajorPerformanceCaveat: true };
    const careful = element('canvas').getContext('webgl', caveat);
    careful?.getExtension('WEBGL_lose_context')?.loseContext();
    return careful && !COMPUTED.test(String(name)) ? 'card' : 'computed';
  }

  let arriving = null;
  /** The plotly library, fetched once for the page. */
  function fetchPlotly(url) {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    arriving ??= new Promise((resolve, reject) => {
      const script = element('script');
      script.src = url;
      script.addEventListener('load', () => {
        if (window.Plotly) resolve(window.Plotly);
        else reject(new Error('no Plotly'));
      });
      script.addEventListener('error', () => {
        arriving = null;
        script.remove();
        reject(new Error('not fetched'));
      });
      document.head.append(script);
    });
    return arriving;
  }

  // --- the map ---

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
    const tools = element('div', 'mp-tools');
    tools.setAttribute('role', 'group');
    tools.setAttribute('aria-label', words.map_tools ?? '');
    root.replaceChildren(stage, over, tools);
    const pen = over.getContext('2d');

    let points = { count: 0, x: new Float32Array(0), y: new Float32Array(0), z: null };
    let flat = points; // x and y as they lie in the plane that is shown
    let room = null; // of points that have a z, too
    let turn = { yaw: 0, pitch: 0 };
    let grid = null; // of `flat`, made when it is first needed
    let bounds = { left: 0, right: 1, bottom: 0, top: 1 };
    let colours = { kind: 'category', values: new Uint8Array(0), palette: ['#808080'] };
    let table = tableOf(colours);
    let visible = null;
    let selection = null;
    let painted = { order: new Uint32Array(0), dim: 0 };
    let version = 0; // of what is drawn, apart from the view
    let focus = null;
    let lines = [];
    let marker = null; // {x, y, since}
    let hovered = -1;
    let mode = 'pan';
    let shape = null; // {kind, x: [], y: []} in pixels: what is being cut out
    let size = { width: 0, height: 0 };
    let view = { x: 0, y: 0, scale: 1 };
    let whole = view; // that shows all points
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
        ground: parse(ink('--mp-ground')), ink: ink('--mp-ink'), paper: ink('--mp-ground'),
        accent: ink('--mp-accent'), seal: ink('--mp-seal'),
      };
    };

    /** Of a dot, in pixels: smaller where there are many, larger the closer one looks. */
    const radius = () => {
      const room = Math.sqrt((size.width * size.height) / Math.max(1, points.count));
      const base = Math.min(5, Math.max(1.6, room * 0.17));
      return Math.min(9, base * Math.max(1, view.scale / whole.scale) ** 0.42);
    };

    /** Runs of points with one size and strength, those below first. */
    const layersOf = (far) => {
      const { order, dim } = painted;
      const strong = { from: dim, to: order.length, opacity: points.count > 20_000 ? 0.75 : 0.9 };
      const faint = { from: 0, to: dim, opacity: 0.16, radius: far, rim: false };
      const large = far * (dim ? 1.2 : 1);
      if (!room) return [faint, { ...strong, radius: large, rim: far >= 4 }].filter(({ from, to }) => to > from);
      // What is far away is smaller and fainter.
      const layers = [faint];
      for (let from = dim; from < order.length;) {
        const slice = flat.near[order[from]] >> 5;
        let to = from + 1;
        while (to < order.length && flat.near[order[to]] >> 5 === slice) to++;
        const near = (slice + 0.5) / 8;
        layers.push({
          from, to, opacity: strong.opacity * (0.45 + 0.55 * near), radius: large * (0.7 + 0.7 * near),
          rim: far >= 4,
        });
        from = to;
      }
      return layers.filter(({ from, to }) => to > from);
    };
    const sceneOf = () => ({
      x: flat.x, y: flat.y, order: painted.order, layers: layersOf(radius()), values: colours.values,
      colours: table, ground: inks.ground, radius: radius(), version,
    });

    const changed = () => {
      version++;
      repaint();
    };
    const sort = () => {
      const ranks = room ? flat.near : colours.kind === 'scale' ? colours.values : null;
      painted = paintingOrder(points.count, ranks, visible, selection);
      changed();
    };

    /** Where a place of the data lies in the plane that is shown. */
    const laid = (place) => {
      if (!room) return place;
      const one = { count: 1, x: [place.x], y: [place.y], z: [place.z ?? room.z] };
      const { x: [x], y: [y] } = turned(one, room, turn);
      return { x, y };
    };
    const pixelsOf = (place) => {
      const { x, y } = laid(place);
      return MapSpace.toPixels(view, size, x, y);
    };
    const at = (n) => MapSpace.toPixels(view, size, flat.x[n], flat.y[n]);
    const known = (n) => Number.isInteger(n) && n >= 0 && n < points.count;

    const ring = (x, y, far, colour, width) => {
      pen.beginPath();
      pen.arc(x, y, far, 0, 2 * Math.PI);
      pen.lineWidth = width + 2.5;
      pen.strokeStyle = inks.paper;
      pen.stroke();
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    };
    const links = (x, y) => {
      pen.lineCap = 'round';
      for (const [width, colour] of [[4, inks.paper], [1.75, inks.accent]]) {
        pen.beginPath();
        for (const n of lines) {
          pen.moveTo(x, y);
          pen.lineTo(...at(n));
        }
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.stroke();
      }
      for (const n of lines) ring(...at(n), radius() + 2.5, inks.accent, 1.75);
    };
    const pin = (now) => {
      const [x, y] = pixelsOf(marker);
      const share = reduced ? 1 : Math.min(1, (now - marker.since) / 700);
      const fall = 1 - (1 - Math.min(1, share / 0.55)) ** 3;
      if (share > 0.5 && share < 1) {
        pen.beginPath();
        pen.arc(x, y, 6 + 34 * (share - 0.5) * 2, 0, 2 * Math.PI);
        pen.globalAlpha = 1 - (share - 0.5) * 2;
        pen.lineWidth = 2;
        pen.strokeStyle = inks.seal;
        pen.stroke();
      }
      pen.save();
      pen.globalAlpha = Math.min(1, share * 4);
      pen.translate(x, y - (1 - fall) * 60);
      pen.beginPath();
      pen.moveTo(0, 0);
      pen.bezierCurveTo(-3, -9, -12, -14, -12, -24);
      pen.arc(0, -24, 12, Math.PI, 0);
      pen.bezierCurveTo(12, -14, 3, -9, 0, 0);
      pen.closePath();
      pen.fillStyle = inks.seal;
      pen.lineWidth = 3;
      pen.lineJoin = 'round';
      pen.strokeStyle = inks.paper;
      pen.stroke();
      pen.fill();
      pen.beginPath();
      pen.arc(0, -24, 4.5, 0, 2 * Math.PI);
      pen.fillStyle = inks.paper;
      pen.fill();
      pen.restore();
      return share < 1;
    };
    const outline = () => {
      const { x, y } = shape;
      pen.beginPath();
      x.forEach((value, i) => pen.lineTo(value, y[i]));
      pen.closePath();
      pen.globalAlpha = 0.12;
      pen.fillStyle = inks.accent;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineJoin = 'round';
      pen.lineWidth = 4;
      pen.strokeStyle = inks.paper;
      pen.stroke();
      pen.lineWidth = 1.75;
      pen.strokeStyle = inks.accent;
      pen.setLineDash([6, 4]);
      pen.stroke();
      pen.setLineDash([]);
    };

    /** What lies above the points; true while it still moves. */
    const paintOver = (now) => {
      const ratio = density();
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, over.width, over.height);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      const middle = known(focus) ? at(focus)
        : marker && lines.length ? pixelsOf(marker) : null;
      if (middle && lines.length) links(...middle);
      if (known(focus)) {
        ring(...middle, radius() + 5, inks.ink, 2.5);
      }
      if (hovered >= 0) ring(...at(hovered), radius() + 3, inks.ink, 1.75);
      const moves = marker !== null && pin(now);
      if (shape) outline();
      return moves;
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
          console.warn('The map goes on without WebGL:', error);
          fallBack('plotly-failed');
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
      if (paintOver(now) || glide) repaint();
      if (fresh) {
        fresh = false;
        root.dataset.ready = 'true';
        emit('ready', { renderer: used.name });
      }
    };
    const repaint = () => { frame ||= requestAnimationFrame(paint); };

    // --- the view ---

    const LIMITS = () => [whole.scale * 0.4, whole.scale * 2000];
    const bounded = (next) => {
      const [least, most] = LIMITS();
      const scale = Math.min(most, Math.max(least, next.scale));
      // The middle of the window never leaves the points' box.
      return {
        x: Math.min(bounds.right, Math.max(bounds.left, next.x)),
        y: Math.min(bounds.top, Math.max(bounds.bottom, next.y)),
        scale,
      };
    };
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
      const [least, most] = LIMITS();
      const scale = Math.min(most, Math.max(least, target().scale * factor));
      look(MapSpace.scaledTo(target(), size, scale, px, py), gently);
    };

    /** Turn what lies in a room by so many pixels of movement. */
    const turnBy = (dx, dy) => {
      const pitch = Math.max(-1.5, Math.min(1.5, turn.pitch + dy * 0.008));
      turn = { yaw: turn.yaw + dx * 0.008, pitch };
      flat = turned(points, room, turn);
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

    // --- mouse, finger and pen ---

    const held = new Map(); // pointers that are down, and where
    let deed = null; // what they do: {kind, from, last, moved, change}
    let box = null;

    const place = (event) => {
      box ??= over.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = () => {
      const [[ax, ay], [bx, by]] = [...held.values()];
      return { x: (ax + bx) / 2, y: (ay + by) / 2, far: Math.max(8, Math.hypot(ax - bx, ay - by)) };
    };
    const abandon = () => {
      deed = null;
      shape = null;
      over.dataset.deed = '';
      repaint();
    };

    const press = (event) => {
      const middle = event.button === 1;
      if (event.button !== 0 && !middle) return;
      event.preventDefault();
      over.focus({ preventScroll: true });
      box = null;
      try { over.setPointerCapture(event.pointerId); } catch { /* it has gone already */ }
      held.set(event.pointerId, place(event));
      glide = null;
      if (held.size === 2) {
        abandon();
        hover(-1);
        deed = { kind: 'pinch', last: spread() };
      } else if (held.size === 1) {
        const [x, y] = place(event);
        const plain = mode === 'pan' && event.shiftKey ? 'lasso' : mode;
        const kind = middle ? 'pan' : plain === 'pan' && room ? 'turn' : plain;
        const change = mode === 'pan' ? '' : event.shiftKey ? 'add' : event.altKey ? 'remove' : '';
        deed = { kind, from: [x, y], last: [x, y], moved: false, change, click: !middle };
      }
    };
    const drag = (event) => {
      const [x, y] = place(event);
      held.set(event.pointerId, [x, y]);
      if (!deed) return;
      if (deed.kind === 'pinch') {
        if (held.size < 2) return;
        const now = spread();
        const moved = MapSpace.movedBy(view, now.x - deed.last.x, now.y - deed.last.y);
        const [least, most] = LIMITS();
        const scale = Math.min(most, Math.max(least, (moved.scale * now.far) / deed.last.far));
        look(MapSpace.scaledTo(moved, size, scale, now.x, now.y));
        deed.last = now;
        return;
      }
      const still = STILL[event.pointerType] ?? STILL.mouse;
      if (!deed.moved && Math.hypot(x - deed.from[0], y - deed.from[1]) < still) return;
      if (!deed.moved) {
        deed.moved = true;
        over.dataset.deed = deed.kind;
        hover(-1);
      }
      if (deed.kind === 'pan') {
        look(MapSpace.movedBy(view, x - deed.last[0], y - deed.last[1]));
      } else if (deed.kind === 'turn') {
        turnBy(x - deed.last[0], y - deed.last[1]);
      } else if (deed.kind === 'box') {
        const [left, top] = deed.from;
        shape = { x: [left, x, x, left], y: [top, top, y, y] };
        repaint();
      } else {
        shape ??= { x: [deed.from[0]], y: [deed.from[1]] };
        const end = shape.x.length - 1;
        if (Math.hypot(x - shape.x[end], y - shape.y[end]) >= 2) {
          shape.x.push(x);
          shape.y.push(y);
        }
        repaint();
      }
      deed.last = [x, y];
    };
    const lift = (event) => {
      if (!held.delete(event.pointerId) || !deed) return;
      const done = deed;
      if (done.kind === 'pinch') {
        // The finger that stays does nothing until it is lifted, too.
        if (!held.size) abandon();
        return;
      }
      const line = shape;
      abandon();
      if (event.type !== 'pointerup') return;
      if (done.moved) {
        if (line) cut(line, done.change);
      } else if (done.click) {
        const [x, y] = place(event);
        const n = pointAt(x, y, event.pointerType);
        if (event.pointerType === 'touch') hover(n);
        if (n >= 0) emit('click', { number: n, x: at(n)[0], y: at(n)[1] });
        else emit('empty', { x, y });
      }
    };

    over.addEventListener('pointerdown', press);
    over.addEventListener('pointermove', (event) => {
      if (held.has(event.pointerId)) {
        // Movements between two frames come together with the last of them; a line needs them all.
        const all = deed?.kind === 'lasso' ? event.getCoalescedEvents?.() ?? [] : [];
        for (const each of all.length ? all : [event]) drag(each);
      } else if (!held.size && event.pointerType !== 'touch' && !glide) {
        box = null;
        hover(pointAt(...place(event), event.pointerType));
      }
    });
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      over.addEventListener(name, lift);
    }
    over.addEventListener('pointerleave', (event) => {
      if (event.pointerType !== 'touch') hover(-1);
    });
    over.addEventListener('wheel', (event) => {
      event.preventDefault();
      box = null;
      const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const amount = Math.max(-240, Math.min(240, event.deltaY * lines));
      hover(-1);
      // A pinch on a touch pad comes as a wheel with the control key, in small steps.
      zoomBy(Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.0022)), ...place(event));
    }, { passive: false });
    over.addEventListener('touchstart', (event) => {
      if (event.cancelable) event.preventDefault(); // not while the page is being scrolled
    }, { passive: false });

    // --- keys ---

    const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const arrow = ARROWS[event.key];
      const letter = TOOLS.find((tool) => tool?.[1].toLowerCase() === event.key.toLowerCase())?.[0];
      if (arrow) {
        const far = Math.min(size.width, size.height) * (event.shiftKey ? 0.4 : 0.12);
        if (room) turnBy(arrow[0] * far * 0.4, arrow[1] * far * 0.4);
        else look(MapSpace.movedBy(target(), arrow[0] * far, arrow[1] * far), true);
        hover(-1);
      } else if (event.key === '=') {
        use('in');
      } else if (event.key === '_') {
        use('out');
      } else if (letter) {
        use(letter);
      } else if (event.key === 'Escape') {
        if (shape || deed) abandon();
        else if (selection) choose(new Uint8Array(points.count));
        else return;
      } else {
        return;
      }
      event.preventDefault();
    };
    over.addEventListener('keydown', onKey);

    // --- the tools ---

    const setMode = (next) => {
      if (!MODES.includes(next)) return;
      abandon();
      const other = mode !== next;
      mode = next;
      over.dataset.mode = mode;
      for (const name of MODES) buttons.get(name).setAttribute('aria-pressed', String(name === mode));
      if (other) emit('mode', { mode });
    };
    const use = (name) => {
      hover(-1);
      if (name === 'in') zoomBy(STEP, undefined, undefined, true);
      else if (name === 'out') zoomBy(1 / STEP, undefined, undefined, true);
      else if (name === 'reset') look(whole, true);
      else setMode(name);
    };
    const buttons = new Map();
    for (const tool of TOOLS) {
      if (!tool) {
        tools.append(element('i'));
        continue;
      }
      const [name, key] = tool;
      const button = element('button');
      button.type = 'button';
      button.dataset.tool = name;
      button.setAttribute('aria-keyshortcuts', key);
      button.append(icon(ICONS[name]));
      button.addEventListener('click', () => use(name));
      buttons.set(name, button);
      tools.append(button);
    }

    function nameTools() {
      for (const tool of TOOLS) {
        if (!tool) continue;
        const [name, key] = tool;
        const label = words[name === 'pan' && room ? 'map_turn' : `map_${name}`] ?? name;
        buttons.get(name).setAttribute('aria-label', label);
        buttons.get(name).title = `${label} (${key})`;
      }
    }

    // --- which renderer ---

    const fallBack = (reason) => {
      if (gone) return;
      const old = webgl;
      webgl = null;
      root.dataset.fallback = reason;
      old?.destroy();
      changed();
      emit('fallback', { reason });
    };
    /** Let WebGL take over, or say why not. */
    const bringWebgl = async () => {
      const wanted = options.renderer ?? new URLSearchParams(location.search).get('renderer');
      if (wanted === 'canvas') return fallBack('asked');
      if (!options.plotly) return fallBack('plotly-missing');
      const found = findWebgl();
      if (!found) return fallBack('webgl-missing');
      // Without a card a view of many points takes a second, where the canvas takes a frame.
      if (found !== 'card' && wanted !== 'webgl') return fallBack('webgl-slow');
      try {
        const plotly = await fetchPlotly(options.plotly);
        if (gone) return undefined;
        const lost = () => fallBack('webgl-lost');
        const made = await MapPlot.create(stage, plotly, { size, ratio: density(), lost });
        if (gone) return made.destroy();
        webgl = made;
        return changed();
      } catch (error) {
        console.warn('The map goes on without WebGL:', error);
        return fallBack('plotly-failed');
      }
    };

    // --- begin ---

    const watcher = new ResizeObserver(resize);
    watcher.observe(root);
    window.addEventListener('resize', resize);
    const themes = new MutationObserver(() => map.setTheme({}));
    themes.observe(document.body, { attributes: true, attributeFilter: ['class'] });
    root.dataset.renderer = 'canvas';
    if (options.dark !== undefined) root.dataset.theme = options.dark ? 'dark' : 'light';
    readInks();
    setMode('pan');
    resize();

    const map = {
      /** `name`: ready, renderer, fallback, mode, hover, leave, click, empty, select. */
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
      /** New points; what was selected, hidden, focused and marked is forgotten. */
      setPoints({ count, x, y, z = null }) {
        points = { count, x, y, z };
        room = z ? roomOf(points) : null;
        turn = { yaw: 0.6, pitch: 0.35 };
        flat = room ? turned(points, room, turn) : points;
        grid = null;
        visible = selection = null;
        focus = marker = null;
        lines = [];
        hover(-1);
        if (colours.values.length < count) colours = { ...colours, values: new Uint8Array(count) };
        const { reach } = room ?? {};
        bounds = room ? { left: -reach, right: reach, bottom: -reach, top: reach }
          : MapSpace.boundsOf(x, y) ?? { left: 0, right: 1, bottom: 0, top: 1 };
        nameTools();
        whole = MapSpace.fit(bounds, size, MARGIN);
        view = whole;
        glide = null;
        fresh = true;
        root.dataset.ready = 'false';
        sort();
      },
      setColours(next) {
        colours = next;
        table = tableOf(next);
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
        look({ ...next, scale: Math.min(next.scale, (2 * CLOSEST) / Math.max(apart, 1e-12)) }, true);
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
