"use strict";
// The zoomable view of each slide: tiles and planes lie in the page, nothing is fetched.
// The picture is OpenSeadragon's; what lies over it is drawn on one canvas in the same frame.
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const BAR_SHARE = 0.25;

  const inflate = async (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  };

  // Rows are stored as differences to the row above; typed arrays wrap around as they must.
  const unpack = async (plane) => {
    const buffer = await inflate(plane.data);
    const values = plane.bytes === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
    for (let i = plane.shape[1]; i < values.length; i += 1) values[i] += values[i - plane.shape[1]];
    plane.values = values;
    delete plane.data;
    return plane;
  };

  const colourOf = (plane, count) => {
    if (plane.names.length) return plane.colours[count - 1];
    const at = Math.min(1, count / plane.top) * (plane.colours.length - 1);
    const low = Math.min(Math.floor(at), plane.colours.length - 2);
    const mix = at - low;
    return plane.colours[low].map((c, k) => Math.round(c + (plane.colours[low + 1][k] - c) * mix));
  };

  const paint = (plane, hidden) => {
    const [rows, columns] = plane.shape;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [columns, rows];
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    const colours = new Uint32Array(plane.bytes === 2 ? 65536 : 256);
    const bytes = new Uint8Array(colours.buffer);
    for (let count = 0; count < colours.length; count += 1) {
      const isShown = count !== plane.none && count >= plane.bottom && !hidden.has(count)
        && (!plane.names.length || (count > 0 && count < plane.names.length));
      if (isShown) bytes.set([...colourOf(plane, count), 255], 4 * count);
    }
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = colours[plane.values[i]];
    context.putImageData(image, 0, 0);
    return canvas;
  };

  const countAt = (plane, down, right) => {
    const row = Math.floor((down - plane.origin_um[0]) / plane.mpp);
    const column = Math.floor((right - plane.origin_um[1]) / plane.mpp);
    const [rows, columns] = plane.shape;
    const isInside = row >= 0 && column >= 0 && row < rows && column < columns;
    return isInside ? plane.values[row * columns + column] : plane.none;
  };

  const length = (um) => (um >= 1000 ? `${um / 1000}\u202fmm` : `${Number(um.toPrecision(3))}\u202fµm`);

  const roundLength = (most) => {
    const decade = 10 ** Math.floor(Math.log10(most));
    return [5, 2, 1].map((step) => step * decade).find((um) => um <= most * 1.000001) ?? decade;
  };

  const start = async (box, number) => {
    const data = JSON.parse(document.getElementById(`zoom-data-${number}`).textContent);
    const { image } = data;
    const planes = new Map();
    for (const plane of await Promise.all(data.planes.map(unpack))) planes.set(plane.name, plane);
    const [top, left] = image.grid.origin_um;
    const [rows, columns] = image.grid.shape;
    const widthUm = columns * image.grid.mpp;
    const stage = box.querySelector(".zoom");
    const one = (selector) => box.querySelector(selector);
    box.classList.add("live");

    const last = image.shapes.length - 1;
    const viewer = OpenSeadragon({
      element: one(".zoom-picture"),
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      animationTime: still ? 0 : 0.4,
      immediateRender: true,
      visibilityRatio: 0.6,
      minZoomImageRatio: 0.9,
      maxZoomPixelRatio: 6,
      zoomPerScroll: 1.3,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false },
      gestureSettingsPen: { clickToZoom: false },
      tileSources: {
        width: columns,
        height: rows,
        tileSize: image.tile,
        minLevel: 0,
        maxLevel: last,
        getTileUrl: (level, x, y) => `data:image/jpeg;base64,${image.tiles[`${level}/${y}/${x}`]}`,
        getTileHashKey: (level, x, y) => `slide-${number}/${level}/${y}/${x}`,
        tileExists: (level, x, y) => `${level}/${y}/${x}` in image.tiles,
        hasTransparency: () => false,
      },
    });
    stage.style.backgroundColor = image.glass;
    const label = one(".zoom-picture").dataset.label;
    viewer.canvas.setAttribute("role", "application");
    viewer.canvas.setAttribute("aria-label", label);

    const over = one(".zoom-over");
    const context = over.getContext("2d");
    const state = { plane: "", opacity: 0.45, layer: null, place: null, hidden: new Set() };

    // Micrometres on the glass to pixels of the screen.
    const frame = () => {
      const corner = viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
      const end = viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(1, 0), true);
      const perUm = (end.x - corner.x) / widthUm;
      return {
        perUm,
        x: (right) => corner.x + (right - left) * perUm,
        y: (down) => corner.y + (down - top) * perUm,
      };
    };

    const strokeCurve = (at, curve) => {
      context.beginPath();
      curve.points_um.forEach(([right, down], i) => {
        if (i) context.lineTo(at.x(right), at.y(down));
        else context.moveTo(at.x(right), at.y(down));
      });
      context.setLineDash([]);
      [context.strokeStyle, context.lineWidth] = ["#fff", 5];
      context.stroke();
      context.setLineDash(curve.kind === "dsj" ? [8, 6] : []);
      [context.strokeStyle, context.lineWidth] = ["#000", 2.5];
      context.stroke();
      context.setLineDash([]);
    };

    const markSection = (at, section) => {
      const [boxTop, boxLeft, boxBottom, boxRight] = section.box_um;
      const [x, y] = [at.x(boxLeft), at.y(boxTop)];
      const [wide, tall] = [(boxRight - boxLeft) * at.perUm, (boxBottom - boxTop) * at.perUm];
      for (const [colour, width] of [["#fff", 3.5], ["#000", 1.5]]) {
        [context.strokeStyle, context.lineWidth] = [colour, width];
        context.strokeRect(x, y, wide, tall);
      }
      context.font = "700 18px system-ui, sans-serif";
      [context.strokeStyle, context.fillStyle, context.lineWidth] = ["#fff", "#000", 4];
      context.strokeText(section.number, x + 6, y + 20);
      context.fillText(section.number, x + 6, y + 20);
    };

    const markPlace = (at) => {
      const [x, y] = [at.x(state.place.right), at.y(state.place.down)];
      for (const [colour, width] of [["#fff", 5], ["#000", 2]]) {
        [context.strokeStyle, context.lineWidth] = [colour, width];
        context.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(x + 4 * dx, y + 4 * dy);
          context.lineTo(x + 13 * dx, y + 13 * dy);
        }
        context.stroke();
      }
    };

    const drawBar = (at) => {
      const um = roundLength((stage.clientWidth * BAR_SHARE) / at.perUm);
      one(".zoom-bar").style.width = `${um * at.perUm}px`;
      one(".zoom-bar").textContent = length(um);
    };

    const draw = () => {
      const ratio = window.devicePixelRatio || 1;
      const [wide, tall] = [stage.clientWidth, stage.clientHeight];
      if (over.width !== Math.round(wide * ratio) || over.height !== Math.round(tall * ratio)) {
        [over.width, over.height] = [Math.round(wide * ratio), Math.round(tall * ratio)];
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, wide, tall);
      const at = frame();
      const plane = planes.get(state.plane);
      if (plane) {
        state.layer ??= paint(plane, plane.name === "classes" ? state.hidden : new Set());
        context.globalAlpha = state.opacity;
        context.imageSmoothingEnabled = false;
        const side = plane.mpp * at.perUm;
        context.drawImage(state.layer, at.x(plane.origin_um[1]), at.y(plane.origin_um[0]),
          plane.shape[1] * side, plane.shape[0] * side);
        context.globalAlpha = 1;
      }
      if (one(".zoom-sections").checked) data.sections.forEach((it) => markSection(at, it));
      if (one(".zoom-junctions")?.checked) data.curves.forEach((it) => strokeCurve(at, it));
      if (state.place) markPlace(at);
      drawBar(at);
    };

    const said = (plane, count) => {
      if (plane.names.length) return plane.names[count] ?? "not known";
      if (count === plane.none && plane.none !== 0) return "not defined here";
      const value = count * plane.step;
      return plane.unit ? `${Math.round(value)}\u202f${plane.unit}` : `${(100 * value).toFixed(1)}\u202f%`;
    };

    const read = (point) => {
      const place = viewer.viewport.pointFromPixel(point, true);
      const [down, right] = [top + place.y * widthUm, left + place.x * widthUm];
      state.place = { down, right };
      const list = one(".readout");
      list.replaceChildren();
      const tell = (name, text) => {
        const [line, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
        [term.textContent, value.textContent] = [name, text];
        line.append(term, value);
        list.append(line);
      };
      for (const plane of planes.values()) {
        const count = countAt(plane, down, right);
        tell(plane.title, said(plane, count));
        list.lastChild.dataset.plane = plane.name;
        list.lastChild.dataset.count = String(count);
      }
      tell("place on the glass", `${(right / 1000).toFixed(3)} mm right, ${(down / 1000).toFixed(3)} mm down`);
      draw();
    };

    const centre = () => new OpenSeadragon.Point(stage.clientWidth / 2, stage.clientHeight / 2);
    viewer.addHandler("update-viewport", draw);
    viewer.addHandler("open", draw);
    viewer.addHandler("canvas-click", (event) => { if (event.quick) read(event.position); });
    // Only a view that was chosen takes the wheel; the others let the page scroll.
    viewer.addHandler("canvas-scroll", (event) => {
      const isChosen = stage.contains(document.activeElement) || event.originalEvent.ctrlKey;
      event.preventDefaultAction = !isChosen;
      event.preventDefault = isChosen;
    });
    viewer.addHandler("canvas-key", (event) => {
      const { key } = event.originalEvent;
      if (key === "Enter") read(centre());
      if (["r", "R", "f", "F"].includes(key)) event.preventDefaultAction = true;
    });
    box.addEventListener("change", (event) => {
      const { target } = event;
      if (target.matches(".zoom-plane")) {
        [state.plane, state.layer] = [target.value, null];
        for (const key of box.querySelectorAll(".zoom-key")) key.hidden = key.dataset.plane !== target.value;
      }
      if (target.matches("[data-class]")) {
        const count = Number(target.dataset.class);
        if (target.checked) state.hidden.delete(count);
        else state.hidden.add(count);
        state.layer = null;
      }
      draw();
    });
    one(".zoom-opacity").addEventListener("input", (event) => {
      state.opacity = event.target.value / 100;
      draw();
    });
    const zoomBy = (factor) => { viewer.viewport.zoomBy(factor); viewer.viewport.applyConstraints(); };
    one(".zoom-in").addEventListener("click", () => zoomBy(1.6));
    one(".zoom-out").addEventListener("click", () => zoomBy(1 / 1.6));
    one(".zoom-whole").addEventListener("click", () => viewer.viewport.goHome());
    one(".zoom-read").addEventListener("click", () => read(centre()));
    new ResizeObserver(draw).observe(stage);
    const chosen = one(".zoom-plane:checked");
    if (chosen) chosen.dispatchEvent(new Event("change", { bubbles: true }));
    box.slideView = { viewer, state, draw };
  };

  // A slide is unpacked when it comes near the window: a case may have dozens.
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        watcher.unobserve(target);
        start(target, target.dataset.zoom);
      }
    }
  }, { rootMargin: "600px" });
  for (const box of document.querySelectorAll(".viewer[data-zoom]")) watcher.observe(box);
})();
