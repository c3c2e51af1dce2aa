/* What is drawn above the points of a map: rings, lines to neighbours, a pin, a line around a set. */
const MapMarks = (() => {
  /** @param {HTMLCanvasElement} canvas  as large as the map */
  function create(canvas) {
    const pen = canvas.getContext('2d');

    const ring = ([x, y], far, colour, width, inks) => {
      pen.beginPath();
      pen.arc(x, y, far, 0, 2 * Math.PI);
      pen.lineWidth = width + 2.5;
      pen.strokeStyle = inks.paper;
      pen.stroke();
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    };
    const links = ([x, y], ends, radius, inks) => {
      pen.lineCap = 'round';
      for (const [width, colour] of [[4, inks.paper], [1.75, inks.accent]]) {
        pen.beginPath();
        for (const end of ends) {
          pen.moveTo(x, y);
          pen.lineTo(...end);
        }
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.stroke();
      }
      for (const end of ends) ring(end, radius + 2.5, inks.accent, 1.75, inks);
    };
    /** `share` 0..1 of its fall; at half of it, it lands. */
    const pin = ([x, y], share, inks) => {
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
    };
    const outline = ({ x, y }, inks) => {
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

    return {
      /**
       * Places in pixels; what is null is not there.
       *
       * @param {object} marks  {focus, lines, hovered, pin: {place, share}, shape: {x, y}}; lines are
       *   {from, to: [place...]}
       * @param {number} radius  of the dots
       * @param {object} inks  {ink, paper, accent, seal}, as CSS writes them
       */
      paint({ focus, lines, hovered, pin: fallen, shape }, radius, inks, ratio) {
        pen.setTransform(1, 0, 0, 1, 0, 0);
        pen.clearRect(0, 0, canvas.width, canvas.height);
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        if (lines) links(lines.from, lines.to, radius, inks);
        if (focus) ring(focus, radius + 5, inks.ink, 2.5, inks);
        if (hovered) ring(hovered, radius + 3, inks.ink, 1.75, inks);
        if (fallen) pin(fallen.place, fallen.share, inks);
        if (shape) outline(shape, inks);
      },
    };
  }

  return { create };
})();
