/* What mouse, pen, fingers and wheel do on a map, in a few verbs; places are pixels of the map. */
const MapHand = (() => {
  const STILL = { mouse: 4, pen: 6, touch: 10 }; // pixels that a click may move

  /**
   * @param {HTMLElement} over  what is touched
   * @param {object} acts
   * @param {() => string} acts.tool  what a plain drag does: pan, turn, lasso or box
   * @param {() => void} acts.begin  something is pressed
   * @param {(x, y, kind) => void} acts.point  the pointer is here, nothing pressed
   * @param {() => void} acts.leave  it is nowhere, or busy
   * @param {() => boolean} acts.passes  fingers may scroll the page (touch-action says which way)
   * @param {(dx, dy) => void} acts.pan
   * @param {(dx, dy) => void} acts.turn
   * @param {(from, to) => void} acts.pinch  two fingers, as {x, y, far}: their middle and distance
   * @param {(factor, x, y) => void} acts.zoom
   * @param {(shape) => void} acts.draw  {x: [], y: []} of the line so far; null for none any more
   * @param {(shape, change) => void} acts.cut  the line is done; change: "", "add" or "remove"
   * @param {(x, y, kind) => void} acts.tap
   */
  function listen(over, acts) {
    const held = new Map(); // pointers that are down, and where
    let deed = null; // what they do: {kind, from, last, moved, change, line}
    let box = null; // where the map is in the window

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
      over.dataset.deed = '';
      acts.draw(null);
    };

    const press = (event) => {
      const middle = event.button === 1;
      if (event.button !== 0 && !middle) return;
      event.preventDefault();
      over.focus({ preventScroll: true });
      box = null;
      try { over.setPointerCapture(event.pointerId); } catch { /* it has gone already */ }
      const [x, y] = place(event);
      held.set(event.pointerId, [x, y]);
      acts.begin();
      if (held.size === 2) {
        abandon();
        acts.leave();
        deed = { kind: 'pinch', last: spread() };
      } else if (held.size === 1) {
        const tool = acts.tool();
        const cuts = tool === 'lasso' || tool === 'box';
        const kind = middle ? 'pan' : !cuts && event.shiftKey ? 'lasso' : tool;
        const change = !cuts ? '' : event.shiftKey ? 'add' : event.altKey ? 'remove' : '';
        deed = { kind, from: [x, y], last: [x, y], moved: false, change, middle, line: null };
      }
    };
    const drag = (event) => {
      const [x, y] = place(event);
      held.set(event.pointerId, [x, y]);
      if (!deed) return;
      if (deed.kind === 'pinch') {
        if (held.size < 2) return;
        const now = spread();
        acts.pinch(deed.last, now);
        deed.last = now;
        return;
      }
      if (!deed.moved) {
        const still = STILL[event.pointerType] ?? STILL.mouse;
        const [across, down] = [Math.abs(x - deed.from[0]), Math.abs(y - deed.from[1])];
        if (Math.hypot(across, down) < still) return;
        if (event.pointerType === 'touch' && down > across && acts.passes()) {
          abandon(); // the page scrolls
          return;
        }
        deed.moved = true;
        over.dataset.deed = deed.kind;
        acts.leave();
      }
      const [dx, dy] = [x - deed.last[0], y - deed.last[1]];
      if (deed.kind === 'pan') {
        acts.pan(dx, dy);
      } else if (deed.kind === 'turn') {
        acts.turn(dx, dy);
      } else if (deed.kind === 'box') {
        const [left, top] = deed.from;
        deed.line = { x: [left, x, x, left], y: [top, top, y, y] };
        acts.draw(deed.line);
      } else {
        deed.line ??= { x: [deed.from[0]], y: [deed.from[1]] };
        const { line } = deed;
        if (Math.hypot(x - line.x.at(-1), y - line.y.at(-1)) >= 2) {
          line.x.push(x);
          line.y.push(y);
        }
        acts.draw(line);
      }
      deed.last = [x, y];
    };
    const lift = (event) => {
      if (!held.delete(event.pointerId) || !deed) return;
      if (deed.kind === 'pinch') {
        // The finger that stays does nothing until it is lifted, too.
        if (!held.size) abandon();
        return;
      }
      const { moved, line, change, middle } = deed;
      abandon();
      if (event.type !== 'pointerup') return;
      if (line) acts.cut(line, change);
      else if (!moved && !middle) acts.tap(...place(event), event.pointerType);
    };

    over.addEventListener('pointerdown', press);
    over.addEventListener('pointermove', (event) => {
      if (held.has(event.pointerId)) {
        // Movements between two frames come together with the last of them; a line needs them all.
        const all = deed?.kind === 'lasso' ? event.getCoalescedEvents?.() ?? [] : [];
        for (const each of all.length ? all : [event]) drag(each);
      } else if (!held.size && event.pointerType !== 'touch') {
        box = null;
        acts.point(...place(event), event.pointerType);
      }
    });
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      over.addEventListener(name, lift);
    }
    over.addEventListener('pointerleave', (event) => {
      if (event.pointerType !== 'touch') acts.leave();
    });
    over.addEventListener('wheel', (event) => {
      event.preventDefault();
      box = null;
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const amount = Math.max(-240, Math.min(240, event.deltaY * unit));
      acts.leave();
      // A pinch on a touch pad comes as a wheel with the control key, in small steps.
      acts.zoom(Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.0022)), ...place(event));
    }, { passive: false });
    over.addEventListener('touchstart', (event) => {
      // Not while the page is being scrolled, nor where it may be.
      if (event.cancelable && !(acts.passes() && event.touches.length === 1)) event.preventDefault();
    }, { passive: false });

    return {
      abandon,
      get busy() { return deed !== null; },
    };
  }

  return { listen };
})();
