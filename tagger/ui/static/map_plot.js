/* Points drawn by plotly's scattergl, for graphics cards. Plotly only draws: its own hover, lasso and
 * menu take seconds where there are many points, and know nothing of fingers.
 */
const MapPlot = (() => {
  const SETTLED = 160; // milliseconds without another zoom until the dots get another size
  const NEAR = 1.12; // sizes that differ by less are the same to the eye

  const COMPUTED = /swiftshader|llvmpipe|softpipe|software|basic render/i;
  /** What WebGL there is: "card", "computed" (by the processor, and so slow), or "" for none. */
  function find() {
    const context = document.createElement('canvas').getContext('webgl');
    if (!context) return '';
    const names = context.getExtension('WEBGL_debug_renderer_info');
    const name = context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER);
    context.getExtension('WEBGL_lose_context')?.loseContext();
    const caveat = { failIfMajorPerformanceCaveat: true };
    const careful = document.createElement('canvas').getContext('webgl', caveat);
    careful?.getExtension('WEBGL_lose_context')?.loseContext();
    return careful && !COMPUTED.test(String(name)) ? 'card' : 'computed';
  }

  let arriving = null;
  /** The plotly library, fetched once for the page. */
  function fetchScript(url) {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    arriving ??= new Promise((resolve, reject) => {
      const script = document.createElement('script');
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

  const CONFIG = { staticPlot: true, displayModeBar: false };
  const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

  const layoutOf = (view, { width, height }) => {
    const [across, down] = [width / view.scale / 2, height / view.scale / 2];
    const axis = (middle, half) => ({
      range: [middle - half, middle + half], visible: false, fixedrange: true, autorange: false,
    });
    return {
      width, height, autosize: false, margin: { l: 0, r: 0, t: 0, b: 0, pad: 0 },
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      showlegend: false, hovermode: false, dragmode: false,
      xaxis: axis(view.x, across), yaxis: axis(view.y, down),
    };
  };

  /** One trace for each layer of the scene. */
  const tracesOf = (scene) => {
    const table = scene.colours.map(css);
    return scene.layers.map(({ from, to, radius, opacity, rim }) => {
      const numbers = scene.order.subarray(from, to);
      return {
        type: 'scattergl', mode: 'markers', hoverinfo: 'skip',
        x: Float32Array.from(numbers, (n) => scene.x[n]),
        y: Float32Array.from(numbers, (n) => scene.y[n]),
        marker: {
          size: 2 * radius, opacity,
          color: Array.from(numbers, (n) => table[scene.values[n]]),
          line: { width: rim ? 1 : 0, color: css(scene.ground) },
        },
      };
    });
  };

  /**
   * A renderer with the functions of MapCanvas.
   *
   * @param plotly  the library
   * @param {number} ratio  pixels of the screen for one of the page
   * @param {() => void} lost  called when the graphics card gives up
   * @param {(error) => void} failed  called when plotly does
   */
  function create(host, plotly, { ratio, lost, failed }) {
    const root = document.createElement('div');
    root.className = 'mp-plot';
    root.setAttribute('aria-hidden', 'true');
    host.append(root);
    const config = { ...CONFIG, plotGlPixelRatio: ratio };
    let shown = { version: -1, radius: 0, size: null };
    let later = 0;
    const discard = () => {
      clearTimeout(later);
      plotly.purge(root);
      root.remove();
    };
    const build = (scene, view, size) => {
      clearTimeout(later);
      later = 0;
      plotly.react(root, tracesOf(scene), layoutOf(view, size), config).catch(failed);
      shown = { version: scene.version, radius: scene.radius, size: size };
      for (const canvas of root.querySelectorAll('canvas')) {
        if (canvas.dataset.watched) continue;
        canvas.dataset.watched = 'true';
        canvas.addEventListener('webglcontextlost', lost);
      }
    };
    return {
      name: 'webgl',
      element: root,
      paint(scene, view, size) {
        if (scene.version !== shown.version || size !== shown.size) {
          build(scene, view, size);
          return;
        }
        const { xaxis, yaxis } = layoutOf(view, size);
        plotly.relayout(root, { 'xaxis.range': xaxis.range, 'yaxis.range': yaxis.range }).catch(failed);
        const other = Math.max(scene.radius / shown.radius, shown.radius / scene.radius);
        clearTimeout(later);
        if (other > NEAR) later = setTimeout(build, SETTLED, scene, view, size);
      },
      destroy: discard,
    };
  }

  return { find, fetchScript, create };
})();
