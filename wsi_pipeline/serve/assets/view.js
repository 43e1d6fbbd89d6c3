"use strict";
// One slide at full resolution: tiles come from this server, overlays are cut into the same tiles.
(() => {
  const BAR_SHARE = 0.25;
  const data = JSON.parse(document.getElementById("view-data").textContent);
  const one = (selector) => document.querySelector(selector);
  const stage = one(".stage");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const [top, left] = data.origin_um;
  // The viewport counts in widths of the enlarged plane.
  const widthUm = data.columns * data.mpp;

  const source = (name, kind) => ({
    width: data.columns,
    height: data.rows,
    tileSize: data.tile,
    minLevel: 0,
    maxLevel: data.levels - 1,
    getTileUrl: (level, x, y) => `${name}/${level}/${y}_${x}.${kind}`,
    hasTransparency: () => kind === "png",
  });

  const state = { overlay: one(".overlay:checked")?.value ?? "", opacity: 0.45, place: null };
  const viewer = OpenSeadragon({
    element: one(".picture"),
    drawer: "canvas",
    showNavigationControl: false,
    animationTime: still ? 0 : 0.4,
    immediateRender: true,
    visibilityRatio: 0.6,
    minZoomImageRatio: 0.9,
    maxZoomPixelRatio: 8,
    zoomPerScroll: 1.3,
    imageSmoothingEnabled: false,
    // Tiles of an overlay let the slide through: without this their seams would show.
    subPixelRoundingForTransparency: OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.ALWAYS,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false },
    gestureSettingsPen: { clickToZoom: false },
    tileSources: [
      { tileSource: source("slide", "jpg") },
      ...data.overlays.map((name) => ({
        tileSource: source(name, "png"),
        opacity: name === state.overlay ? state.opacity : 0,
      })),
    ],
  });
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-label", stage.dataset.label);

  const length = (um) => (um >= 1000 ? `${um / 1000}\u202fmm` : `${Number(um.toPrecision(3))}\u202fµm`);
  const roundLength = (most) => {
    const decade = 10 ** Math.floor(Math.log10(most));
    return [5, 2, 1].map((step) => step * decade).find((um) => um <= most * 1.000001) ?? decade;
  };
  const pixelOf = ({ down, right }) => viewer.viewport.pixelFromPoint(
    new OpenSeadragon.Point((right - left) / widthUm, (down - top) / widthUm), true);

  const draw = () => {
    const perUm = (pixelOf({ down: top, right: left + widthUm }).x - pixelOf({ down: top, right: left }).x) / widthUm;
    const um = roundLength((stage.clientWidth * BAR_SHARE) / perUm);
    one(".scale-bar").style.width = `${um * perUm}px`;
    one(".scale-bar").textContent = length(um);
    const cross = one(".cross");
    cross.hidden = !state.place;
    if (state.place) {
      const { x, y } = pixelOf(state.place);
      [cross.style.left, cross.style.top] = [`${x}px`, `${y}px`];
      cross.hidden = x < 0 || y < 0 || x > stage.clientWidth || y > stage.clientHeight;
    }
  };

  const lay = () => {
    data.overlays.forEach((name, i) => {
      viewer.world.getItemAt(i + 1)?.setOpacity(name === state.overlay ? state.opacity : 0);
    });
    for (const key of document.querySelectorAll(".key")) key.hidden = key.dataset.overlay !== state.overlay;
  };

  const tell = (rows) => {
    one(".hint").hidden = true;
    one(".readout").replaceChildren(...rows.map(([name, text, extra]) => {
      const [line, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
      [term.textContent, value.textContent] = [name, text];
      Object.assign(line.dataset, extra);
      line.append(term, value);
      return line;
    }));
  };
  const read = async (pixel) => {
    const point = viewer.viewport.pointFromPixel(pixel, true);
    const place = { down: top + point.y * widthUm, right: left + point.x * widthUm };
    state.place = place;
    draw();
    let told;
    try {
      const answer = await fetch(`at.json?down_um=${place.down}&right_um=${place.right}`);
      if (!answer.ok) throw new Error("refused");
      told = await answer.json();
    } catch {
      if (state.place === place) tell([["not read", "The server does not answer; its terminal says why.", {}]]);
      return;
    }
    // Answers may overtake each other: the last question counts.
    if (state.place !== place) return;
    tell([
      ...told.values.map((it) => [it.title, it.text, { overlay: it.name, count: String(it.count) }]),
      ["place on the glass", `${(place.right / 1000).toFixed(3)} mm right, ${(place.down / 1000).toFixed(3)} mm down`, {}],
    ]);
  };

  const centre = () => new OpenSeadragon.Point(stage.clientWidth / 2, stage.clientHeight / 2);
  const zoomBy = (factor) => { viewer.viewport.zoomBy(factor); viewer.viewport.applyConstraints(); };
  viewer.addHandler("update-viewport", draw);
  viewer.addHandler("open", () => { lay(); draw(); });
  viewer.addHandler("tile-load-failed", () => { one(".fault").hidden = false; });
  viewer.addHandler("canvas-click", (event) => { if (event.quick) read(event.position); });
  viewer.addHandler("canvas-key", (event) => {
    const { key } = event.originalEvent;
    if (key === "Enter") read(centre());
    if (["r", "R", "f", "F"].includes(key)) event.preventDefaultAction = true;
  });
  document.addEventListener("change", ({ target }) => {
    if (!target.matches(".overlay")) return;
    state.overlay = target.value;
    lay();
  });
  one(".opacity")?.addEventListener("input", ({ target }) => {
    state.opacity = target.value / 100;
    lay();
  });
  one(".zoom-in").addEventListener("click", () => zoomBy(1.6));
  one(".zoom-out").addEventListener("click", () => zoomBy(1 / 1.6));
  one(".zoom-whole").addEventListener("click", () => viewer.viewport.goHome());
  one(".zoom-full").addEventListener("click", () => {
    viewer.viewport.zoomTo(viewer.world.getItemAt(0).imageToViewportZoom(1));
    viewer.viewport.applyConstraints();
  });
  // Shown as a program takes it: whole, and without the document at its end.
  for (const link of document.querySelectorAll(".store")) {
    link.firstElementChild.textContent = link.href.replace(/\/zarr\.json$/, "");
  }
  new ResizeObserver(draw).observe(stage);
  window.slideView = { viewer, state, pixelOf };
})();
