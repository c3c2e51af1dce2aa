/* The buttons beside a map, in the order of its keys. */
const MapTools = (() => {
  const ICONS = {
    pan: ['M12 3v18M3 12h18', 'M9.5 5.5L12 3l2.5 2.5', 'M9.5 18.5L12 21l2.5-2.5',
      'M5.5 9.5L3 12l2.5 2.5', 'M18.5 9.5L21 12l-2.5 2.5'],
    lasso: [
      'M7.5 15.5C4.5 14.5 3 12.5 3 10.3 3 6.8 7 4 12 4s9 2.8 9 6.3-4 6.2-9 6.2c-.9 0-1.7-.1-2.5-.2',
      'M7.5 18.2a2 2 0 1 0 0-3.6 2 2 0 0 0 0 3.6z', 'M7 18.5c.5 1.5 0 2.5-1.5 3'],
    box: ['M4 8V4h4', 'M16 4h4v4', 'M20 16v4h-4', 'M8 20H4v-4', 'M11 4h2M11 20h2M4 11v2M20 11v2'],
    in: ['M12 5v14M5 12h14'],
    out: ['M5 12h14'],
    reset: ['M4 10V4h6', 'M4 4l6 6', 'M20 14v6h-6', 'M20 20l-6-6'],
  };
  const TOOLS = [
    ['pan', 'V'], ['lasso', 'L'], ['box', 'B'], null, ['in', '+'], ['out', '-'], ['reset', '0'],
  ];

  const MODES = ['pan', 'lasso', 'box'];
  const ALSO = { '=': 'in', _: 'out' }; // the other signs on those keys

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

  /**
   * @param {object} words  map_tools and a map_ word for each
   * @param {(name: string) => void} use
   */
  function create(words, use) {
    const root = document.createElement('div');
    root.className = 'mp-tools';
    root.setAttribute('role', 'group');
    root.setAttribute('aria-label', words.map_tools ?? '');
    const buttons = new Map();
    for (const tool of TOOLS) {
      if (!tool) {
        root.append(document.createElement('i'));
        continue;
      }
      const [name, key] = tool;
      const button = document.createElement('button');
      button.type = 'button';
      button.dataset.tool = name;
      button.setAttribute('aria-keyshortcuts', key);
      button.append(icon(ICONS[name]));
      button.addEventListener('click', () => use(name));
      buttons.set(name, button);
      root.append(button);
    }
    return {
      element: root,
      /** Which tool a key stands for; undefined for none. */
      byKey: (key) => ALSO[key]
        ?? TOOLS.find((tool) => tool?.[1].toLowerCase() === key.toLowerCase())?.[0],
      /** Show which of the tools is in the hand. */
      press(mode) {
        for (const name of MODES) buttons.get(name).setAttribute('aria-pressed', String(name === mode));
      },
      /** Name them; a map with depth is turned where another is moved. */
      name(deep) {
        for (const [name, button] of buttons) {
          const label = words[name === 'pan' && deep ? 'map_turn' : `map_${name}`] ?? name;
          button.setAttribute('aria-label', label);
          button.title = `${label} (${button.getAttribute('aria-keyshortcuts')})`;
        }
      },
    };
  }

  return { MODES, create };
})();
