"use strict";
(() => {
  // Theme: follows the system until the reader chooses; storage may be forbidden for local files.
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  try { const kept = localStorage.getItem("fairart-theme"); if (kept) root.dataset.theme = kept; } catch { /* as the system */ }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("fairart-theme", root.dataset.theme); } catch { /* for this view only */ }
    tell();
  });
  system.addEventListener("change", tell);
  button.hidden = false;
  tell();

  // Sorting: a button in each head, so that the keyboard reaches it. What has no number stays at the end.
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim();
    return "v" in cell.dataset ? Number(cell.dataset.v) : parseFloat(cell.textContent);
  };
  const missing = (key) => key === "" || Number.isNaN(key);
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.querySelectorAll("th[data-col]")];
    for (const head of heads) {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.className = "sort";
      while (head.firstChild && !(head.firstChild.classList && head.firstChild.classList.contains("flag"))) sorter.append(head.firstChild);
      head.prepend(sorter);
      sorter.addEventListener("click", () => {
        // Numbers begin with the highest, names with the first.
        const numeric = head.classList.contains("n");
        const now = head.getAttribute("aria-sort");
        const down = now ? now === "ascending" : numeric;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const keyed = [...body.rows].map((row) => [value(row, Number(head.dataset.col), numeric), row]);
        keyed.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : (down ? -1 : 1) * compare(a, b)));
        body.append(...keyed.map(([, row]) => row));
      });
    }
  }

  // Filters: shown only where a script runs.
  for (const filter of document.querySelectorAll("input[data-filter]")) {
    const body = document.getElementById(filter.dataset.filter).tBodies[0];
    filter.parentElement.hidden = false;
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    });
  }

  // A link to a place inside a closed block opens it.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
