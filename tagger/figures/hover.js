(() => {
  // plotly puts the figure's own name in here.
  const figure = document.getElementById('{plot_id}');
  const pictures = figure && figure.layout.meta && figure.layout.meta.thumbnails;
  if (!pictures) return;
  const picture = document.createElement('img');
  picture.alt = '';
  picture.className = 'figure-thumbnail';
  picture.style.cssText =
    'position:fixed;display:none;pointer-events:none;z-index:10;padding:3px;' +
    'background:#fff;border:1px solid #9a948a;border-radius:4px;max-width:160px;max-height:160px';
  document.body.append(picture);
  // Hover events of figures in three dimensions do not say where the pointer is.
  let at = { x: 0, y: 0 };
  const put = () => {
    const gap = 16;
    const box = picture.getBoundingClientRect();
    const left = at.x + gap + box.width > innerWidth ? at.x - gap - box.width : at.x + gap;
    const top = Math.max(4, Math.min(at.y - box.height - gap, innerHeight - box.height - 4));
    picture.style.left = `${Math.max(4, left)}px`;
    picture.style.top = `${top}px`;
  };
  figure.addEventListener('pointermove', (event) => {
    at = { x: event.clientX, y: event.clientY };
    if (picture.style.display === 'block') put();
  }, true);
  picture.addEventListener('load', put);
  figure.on('plotly_hover', (event) => {
    const point = event.points[0];
    const number = Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
    const source = pictures[number];
    if (typeof source !== 'string' || !source.startsWith('data:image/')) return;
    picture.src = source;
    picture.style.display = 'block';
    put();
  });
  figure.on('plotly_unhover', () => {
    picture.style.display = 'none';
  });
})();
