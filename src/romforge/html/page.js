// SPDX-License-Identifier: GPL-2.0-or-later
// Sorts and filters the table of ROMs, and opens what a link leads to. The page is complete without.
"use strict";
(() => {
  const table = document.querySelector("table.roms");
  if (!table) return; // a page of other files alone: nothing of it is closed, sorted or filtered
  const worstFirst = [...table.tBodies];
  const headings = [...table.tHead.rows[0].cells];

  // A number for a column of numbers, else the text in lower case.
  function keyOf(body, index, kind) {
    const cell = body.rows[0].cells[index];
    return kind === "number" ? Number(cell.dataset.key) : cell.textContent.trim().toLowerCase();
  }

  function compare(a, b) {
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }

  function forget() {
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  }

  function sortBy(heading) {
    const index = headings.indexOf(heading);
    const kind = heading.dataset.sort;
    const first = kind === "number" ? "descending" : "ascending";
    const second = kind === "number" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    const sign = order === "ascending" ? 1 : -1;
    const keys = new Map(worstFirst.map((body) => [body, keyOf(body, index, kind)]));
    const sorted = [...worstFirst].sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
    forget();
    heading.setAttribute("aria-sort", order);
    table.append(...sorted);
  }

  for (const heading of headings.filter((one) => one.dataset.sort)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(heading));
    heading.append(button);
  }

  const filter = document.getElementById("filter");
  const onlyWrong = document.getElementById("only-wrong");
  const texts = new Map();
  for (const body of worstFirst) {
    const [nic, target] = body.rows[0].cells;
    const path = body.querySelector(".path").textContent;
    texts.set(body, `${nic.textContent} ${target.textContent} ${path}`.toLowerCase());
  }

  function applyFilter() {
    const words = filter.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const [body, text] of texts) {
      const found = words.every((word) => text.includes(word));
      body.hidden = !found || (onlyWrong.checked && !body.classList.contains("bad"));
      count += !body.hidden;
    }
    document.getElementById("shown").value = `${count} of ${texts.size} shown`;
  }

  filter.addEventListener("input", applyFilter);
  onlyWrong.addEventListener("change", applyFilter);
  document.getElementById("worst").addEventListener("click", () => {
    forget();
    table.append(...worstFirst);
  });
  document.querySelector(".tools").hidden = false;
  applyFilter();

  // Browsers that do not open what is closed around the target of a link: and a hidden row.
  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const body = target.closest("tbody");
    if (body && body.hidden) body.hidden = false;
    for (let one = target.closest("details"); one; one = one.parentElement.closest("details")) {
      one.open = true;
    }
    target.scrollIntoView();
  }

  addEventListener("hashchange", openTarget);
  if (location.hash) openTarget();
})();
