/* Keeps the page alive: asks for what is shown, says when nobody answers, and goes on by itself.
   Words come as data and become text, never markup: they may be a stranger's. */
"use strict";

(() => {
  const ASK_MS = 2000;
  const HISTORY_MS = 5000;
  const PATIENCE_MS = 4000;
  // A worker that is starting again is no news yet.
  const STALE_MS = 5000;
  const SVG = "http://www.w3.org/2000/svg";
  const version = document.documentElement.dataset.version;
  const $ = (id) => document.getElementById(id);
  let answered = Date.now();
  let shownAt = $("at").textContent;
  let samples = null;
  const drawn = {};

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function node(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* Draw anew only what has changed: a selection stays, and a reader's voice is not interrupted. */
  function changed(key, value) {
    const text = JSON.stringify(value);
    if (drawn[key] === text) return false;
    drawn[key] = text;
    return true;
  }

  function fact(one) {
    const box = node("div", "fact " + one.tone);
    const number = node("dd", "", one.text);
    if (one.note) number.append(node("small", "", one.note));
    box.append(node("dt", "", one.label), number);
    return box;
  }

  function row(columns, tone, cells) {
    const line = node("tr", tone);
    cells.forEach((text, at) => {
      const [name, kind] = columns[at];
      const cell = node("td", kind, kind === "command" ? undefined : text);
      if (kind === "command") cell.append(node("code", "", text));
      cell.dataset.name = name;
      line.append(cell);
    });
    return line;
  }

  function table(one) {
    const section = $(one.key);
    const [empty, grid, note] = [".empty", "table", ".note"].map((which) => section.querySelector(which));
    empty.hidden = one.rows.length > 0;
    say(empty, one.empty);
    grid.hidden = !one.rows.length;
    note.hidden = !one.note;
    say(note, one.note);
    grid.tBodies[0].replaceChildren(...one.rows.map(([tone, cells]) => row(one.columns, tone, cells)));
  }

  function show(view) {
    document.title = view.mode_word + " · " + view.verdict.word;
    $("mode").className = "mode " + view.mode;
    say($("mode-word"), view.mode_word);
    say($("mode-says"), view.mode_says);
    $("verdict").className = "verdict " + view.verdict.tone;
    say($("word"), view.verdict.word);
    if (changed("why", view.verdict.why)) $("why").replaceChildren(...view.verdict.why.map((line) => node("li", "", line)));
    if (changed("facts", view.facts)) $("facts").replaceChildren(...view.facts.map(fact));
    for (const one of view.tables) if (changed(one.key, one)) table(one);
    say($("foot"), view.foot);
    shownAt = view.at;
    say($("at"), shownAt);
  }

  function tell() {
    const silent = Date.now() - answered;
    const stale = silent > STALE_MS;
    document.body.classList.toggle("is-stale", stale);
    $("stale").hidden = !stale;
    if (!stale) return;
    say($("stale-age"), "Last answer " + Math.round(silent / 1000) + " s ago, at " + shownAt + ".");
    document.title = "NO ANSWER · execution-worker";
  }

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(path + " answers " + answer.status);
    return answer.json();
  }

  async function look() {
    const view = await ask("/page.json");
    // Another version has another page.
    if (view.version !== version) location.reload();
    answered = Date.now();
    show(view);
  }

  async function lookBack() {
    const history = await ask("/history.json");
    samples = history;
    draw();
  }

  /* Whether it worked or not, it is done again; a page that nobody sees asks nothing. */
  function forever(what, everyMs) {
    const turn = async () => {
      if (!document.hidden) await what().catch(() => {});
      tell();
      setTimeout(turn, everyMs);
    };
    turn();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) what().catch(() => {});
    });
  }

  function mark(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* The next 1, 2 or 5 with zeros: a scale that a person can read. */
  function ceiling(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) || 10 * power;
  }

  const words = (value) => (value >= 10 ? Math.round(value) : Math.round(value * 10) / 10).toLocaleString("en");

  /* One line per column of the samples; where a sample has no value the line is broken. */
  function chart(svg, lines, spanMs) {
    const box = svg.getBoundingClientRect();
    const [width, height, left, bottom, top] = [Math.round(box.width), Math.round(box.height), 44, 18, 8];
    if (!width) return;
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    const rows = samples.samples;
    const end = rows.length ? rows[rows.length - 1][0] : 0;
    const most = ceiling(Math.max(1, ...rows.flatMap((one) => lines.map(([column]) => one[column] || 0))));
    const x = (at) => left + (width - left - 4) * (1 - (end - at) / spanMs);
    const y = (value) => height - bottom - (height - bottom - top) * (value / most);
    const parts = [];
    for (const value of [0, most / 2, most]) {
      parts.push(mark("line", { class: "grid", x1: left, x2: width - 4, y1: y(value), y2: y(value) }));
      parts.push(mark("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, words(value)));
    }
    for (const [minutes, anchor] of [[spanMs / 60000, "start"], [spanMs / 120000, "middle"], [0, "end"]]) {
      const text = minutes ? minutes + " min ago" : "now";
      parts.push(mark("text", { x: x(end - minutes * 60000), y: height - 4, "text-anchor": anchor }, text));
    }
    for (const [column, kind] of lines) {
      let path = "";
      let broken = true;
      for (const one of rows) {
        if (one[column] !== null) path += (broken ? "M" : "L") + x(one[0]).toFixed(1) + " " + y(one[column]).toFixed(1);
        // A point alone is a dot.
        if (one[column] !== null && broken) path += "h1";
        broken = one[column] === null;
      }
      parts.push(mark("path", { class: kind, d: path }));
    }
    svg.replaceChildren(...parts);
  }

  function draw() {
    if (!samples) return;
    const rows = samples.samples;
    const lived = rows.length ? rows[rows.length - 1][0] - rows[0][0] : 0;
    const spanMs = [10, 20, 60].map((minutes) => minutes * 60000).find((span) => span >= lived) || 3600000;
    $("charts").hidden = false;
    chart($("lag"), [[1, "lag"]], spanMs);
    chart($("rate"), [[2, "signals"], [3, "orders"]], spanMs);
    const last = rows[rows.length - 1];
    say($("lag-now"), last && last[1] !== null ? "now " + words(last[1]) : "");
    say($("rate-now"), last ? "now " + words(last[2]) + " and " + words(last[3]) : "");
  }

  addEventListener("resize", draw);
  setInterval(tell, 1000);
  forever(look, ASK_MS);
  forever(lookBack, HISTORY_MS);
})();
