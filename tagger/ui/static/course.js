/* The course of a training as a small drawing: how figures changed from round to round. */

const COURSES = ['frozen', 'held_back', 'loss'];

/**
 * `curve` is a list of {epoch, loss, frozen, held_back}, where figures may be missing. The shares have
 * a scale in common, the loss one of its own: what counts is how each goes. Null for no figures.
 */
function drawCourse(curve, width, height) {
  const space = 'http://www.w3.org/2000/svg';
  const edge = 4;
  const valuesOf = (name) => curve.map((entry) => entry[name]);
  const known = (values) => values.filter((value) => Number.isFinite(value));
  const shares = known([...valuesOf('frozen'), ...valuesOf('held_back')]);
  const drawing = document.createElementNS(space, 'svg');
  drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
  drawing.setAttribute('preserveAspectRatio', 'none');
  drawing.setAttribute('class', 'ow-curve');
  drawing.setAttribute('aria-hidden', 'true');
  for (const name of COURSES) {
    const values = valuesOf(name);
    const scale = name === 'loss' ? known(values) : shares;
    const [least, most] = [Math.min(...scale), Math.max(...scale)];
    const points = values.flatMap((value, i) => {
      if (!Number.isFinite(value)) return [];
      const x = values.length > 1 ? edge + (width - 2 * edge) * i / (values.length - 1) : width / 2;
      const y = most > least
        ? height - edge - (height - 2 * edge) * (value - least) / (most - least) : height / 2;
      return [[x, y]];
    });
    if (!points.length) continue;
    // One round alone is a short line: a point of no length would not be seen.
    if (points.length === 1) points.push([points[0][0] + 3, points[0][1]]);
    const line = document.createElementNS(space, 'polyline');
    line.setAttribute('points', points.map((point) => point.map((v) => v.toFixed(1)).join(',')).join(' '));
    line.setAttribute('class', `ow-line ow-${name}`);
    drawing.append(line);
  }
  return drawing.childElementCount ? drawing : null;
}

/** What the lines are, with the first and the last figure of each in the words of `key`, as a list. */
function courseLegend(curve, key) {
  const list = make('ul', 'ow-legend');
  list.setAttribute('role', 'list');
  for (const name of COURSES) {
    const values = curve.map((entry) => entry[name]).filter((value) => Number.isFinite(value));
    if (!values.length) continue;
    const shown = (value) => name === 'loss' ? value.toFixed(3) : share(value);
    const item = make('li', `ow-${name}`);
    item.append(make('i'), make('span', '', say(key, {
      name: say(`curve_${name}`), first: shown(values[0]), last: shown(values.at(-1)),
    })));
    list.append(item);
  }
  return list;
}
