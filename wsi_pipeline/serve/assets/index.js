"use strict";
// Both lists stand in the page as a whole.  Here their entries are taken out and put back a page at
// a time, in their order: those that hold every word typed above them.
(() => {
  const form = document.querySelector(".filters");
  const words = form.querySelector(".filter-text");
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

  const listIn = (section) => {
    const one = (selector) => section.querySelector(selector);
    const [body, shown, rows, back, on] =
      [".entries", ".shown", ".page-rows", ".page-back", ".page-on"].map(one);
    const entries = [...body.children].map(
      (element) => ({ element, text: plain(element.textContent), of: element.dataset.case }));
    let matching = entries;
    let first = 0;
    const size = () => Number(rows.value) || Math.max(matching.length, 1);
    const show = (some) => body.replaceChildren(...some.map((entry) => entry.element));
    const draw = () => {
      first = Math.max(0, Math.min(first, Math.ceil(matching.length / size() - 1) * size()));
      const last = Math.min(first + size(), matching.length);
      show(matching.slice(first, last));
      [back.disabled, on.disabled] = [first === 0, last === matching.length];
      const all = `${count(entries.length)} ${section.dataset.noun}`;
      const among = matching.length === entries.length
        ? all : `${count(matching.length)} that match, of ${all}`;
      shown.textContent = matching.length ? `${count(first + 1)} to ${count(last)} of ${among}`
        : `None of ${all} matches; clear a word`;
    };
    const turn = (pages) => {
      first += pages * size();
      draw();
      // A button that has gone grey would lose the keyboard's place.
      if (back.disabled && pages < 0) on.focus();
      if (on.disabled && pages > 0) back.focus();
    };
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));
    rows.addEventListener("change", draw);
    addEventListener("beforeprint", () => show(matching));
    addEventListener("afterprint", draw);
    return {
      narrow: (matches) => {
        matching = entries.filter(matches);
        first = 0;
        draw();
        return matching;
      },
    };
  };
  const [slides, cases] = ["slides", "cases"].map((noun) => {
    const section = document.querySelector(`[data-noun="${noun}"]`);
    return section.querySelector(".entries") ? listIn(section) : { narrow: () => [] };
  });

  // A case is also found by its slides.
  const narrow = () => {
    const wanted = plain(words.value).split(/\s+/).filter(Boolean);
    const holdsAll = (entry) => wanted.every((word) => entry.text.includes(word));
    const found = new Set(slides.narrow(holdsAll).map((slide) => slide.of));
    cases.narrow((entry) => holdsAll(entry) || found.has(entry.of));
    // Nothing of these pages is stored by the browser: the address keeps what was typed.
    const kept = words.value && `#${encodeURIComponent(words.value)}`;
    history.replaceState(null, "", location.pathname + kept);
  };
  const recall = () => {
    try {
      words.value = decodeURIComponent(location.hash.slice(1));
    } catch {
      words.value = "";
    }
    narrow();
  };
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(narrow));
  addEventListener("hashchange", recall);
  document.body.classList.add("live");
  recall();
})();
