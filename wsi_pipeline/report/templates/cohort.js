"use strict";
// The table stands in the page as a whole.  Here its rows are taken out and put back a page at a
// time: those that match the words and choices above it, in the order of a heading.
(() => {
  const table = document.querySelector("table.sortable");
  const body = table.tBodies[0];
  const [form, shown] = [document.querySelector(".filters"), document.querySelector(".shown")];
  const [words, rowsPerPage] = [form.querySelector(".filter-text"), document.querySelector(".page-rows")];
  const choices = [...form.querySelectorAll(".filter-facet")];
  const [back, on] = [document.querySelector(".page-back"), document.querySelector(".page-on")];
  const headings = [...table.tHead.rows[0].cells];
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const keysOf = (row) => [...row.cells].flatMap(
    (cell) => Array(cell.colSpan).fill((cell.dataset.key ?? cell.textContent).trim()));
  const slides = [...body.rows].map((row, place) => ({
    row, place, keys: keysOf(row), facets: row.dataset.facets.split(" "), text: null,
  }));
  const textOf = (slide) => (slide.text ??= plain(slide.row.textContent));
  let matching = slides;
  let first = 0;
  let order = { column: -1, sign: 1 };

  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? collator.compare(a, b) : x - y;
  };
  // Cells without a value stay last either way; equal ones keep the order of the table.
  const byHeading = (p, q) => {
    if (order.column < 0) return p.place - q.place;
    const [a, b] = [p.keys[order.column], q.keys[order.column]];
    const empty = (a === "") - (b === "");
    return empty || (a === "" ? 0 : order.sign * compare(a, b)) || p.place - q.place;
  };
  const size = () => Number(rowsPerPage.value) || Math.max(matching.length, 1);
  const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

  const show = (rows) => body.replaceChildren(...rows.map((slide) => slide.row));
  const draw = () => {
    first = Math.max(0, Math.min(first, Math.ceil(matching.length / size() - 1) * size()));
    const last = Math.min(first + size(), matching.length);
    show(matching.slice(first, last));
    [back.disabled, on.disabled] = [first === 0, last === matching.length];
    const all = `${count(slides.length)} slides`;
    const among = matching.length === slides.length
      ? all : `${count(matching.length)} that match, of ${all}`;
    shown.textContent = matching.length ? `${count(first + 1)} to ${count(last)} of ${among}`
      : `None of ${all} matches; clear a choice or a word`;
  };
  const narrow = () => {
    const wanted = plain(words.value).split(/\s+/).filter(Boolean);
    matching = slides.filter((slide) =>
      choices.every((choice, k) => choice.value === "" || choice.value === slide.facets[k])
      && wanted.every((word) => textOf(slide).includes(word))).sort(byHeading);
    first = 0;
    draw();
  };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      order = { column, sign };
      matching = [...matching].sort(byHeading);
      first = 0;
      draw();
    });
  });
  const turn = (pages) => {
    first += pages * size();
    draw();
    document.querySelector(".rows").scrollTop = 0;
    // A button that has gone grey would lose the keyboard's place.
    if (back.disabled && pages < 0) on.focus();
    if (on.disabled && pages > 0) back.focus();
  };
  back.addEventListener("click", () => turn(-1));
  on.addEventListener("click", () => turn(1));
  rowsPerPage.addEventListener("change", draw);
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(narrow));
  addEventListener("beforeprint", () => show(matching));
  addEventListener("afterprint", draw);
  document.body.classList.add("live");
  // A page that is come back to keeps what was typed and chosen.
  addEventListener("pageshow", narrow);
  narrow();
})();
