"use strict";
// Keeps an open page up to date, shows times in the reader's zone, and makes keys and "Copy"
// buttons work. Without it the page is complete, and one that is reloaded by hand.
(() => {
  const SECONDS = 30;
  const ZONE = "datatrove-exporter: times are in UTC";
  const STOPPED = "datatrove-exporter: refreshing is stopped";
  const button = document.getElementById("refresh");
  const lost = document.getElementById("lost");
  if (!button) { // the page in place of a job that is not known: shown once it is
    const look = async () => {
      if (document.hidden) return;
      const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null); // exporter gone
      if (answer?.ok) location.reload();
    };
    setInterval(look, SECONDS * 1000);
    document.addEventListener("visibilitychange", look);
    return;
  }
  let fetching = false;
  let last = Date.now();

  const isStopped = () => {
    try { return sessionStorage.getItem(STOPPED) !== null; } catch { return button.dataset.stopped === "yes"; }
  };
  const setStopped = (stopped) => {
    button.dataset.stopped = stopped ? "yes" : "no";
    try {
      if (stopped) sessionStorage.setItem(STOPPED, "yes"); else sessionStorage.removeItem(STOPPED);
    } catch { /* storage is forbidden: the choice lasts as long as the page */ }
  };
  const label = () => {
    button.textContent = isStopped() ? `Refresh every ${SECONDS} s` : "Stop refreshing";
  };

  // Make `here` equal to `there` in place, touching only what differs, so that focus,
  // scroll position and selected text survive.
  const update = (here, there) => {
    if (here.isEqualNode(there)) return;
    if (here.nodeType !== 1 || here.nodeName !== there.nodeName) {
      here.replaceWith(document.importNode(there, true));
      return;
    }
    for (const { name } of [...here.attributes]) {
      if (!there.hasAttribute(name) && name !== "open") here.removeAttribute(name); // what was unfolded stays so
    }
    for (const { name, value } of [...there.attributes]) if (here.getAttribute(name) !== value) here.setAttribute(name, value);
    const [ours, theirs] = [[...here.childNodes], [...there.childNodes]];
    theirs.forEach((child, index) => {
      if (index < ours.length) update(ours[index], child); else here.append(document.importNode(child, true));
    });
    ours.slice(theirs.length).forEach((child) => child.remove());
  };

  // Times: the server writes them in UTC, and what points at one shows that.
  const isUtc = () => {
    try { return localStorage.getItem(ZONE) !== null; } catch { return document.body.dataset.zone === "utc"; }
  };
  const two = (number) => String(number).padStart(2, "0");
  const inZone = (words, date) => {
    const [clock, day] = [/(\d\d:\d\d(:\d\d)?) UTC$/.exec(words), /^\d+ [A-Z]\w\w\b/.test(words)];
    if (!clock && !day) return words;
    const now = new Date();
    const month = date.toLocaleString("en", { month: "short" });
    const year = date.getFullYear() === now.getFullYear() ? "" : ` ${date.getFullYear()}`;
    const onDay = day || date.toDateString() !== now.toDateString() ? `${date.getDate()} ${month}${year}` : "";
    const at = clock ? `${two(date.getHours())}:${two(date.getMinutes())}${clock[2] ? `:${two(date.getSeconds())}` : ""}` : "";
    return `${onDay}${onDay && at ? " " : ""}${at}`;
  };
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.dataset.utc ??= time.textContent;
      time.textContent = isUtc() ? time.dataset.utc : inZone(time.dataset.utc, new Date(time.dateTime));
    }
  };
  const zone = document.getElementById("zone");
  const showZone = () => {
    localise(document);
    zone.textContent = `Times: ${isUtc() ? "UTC" : "local"}`;
  };
  zone.addEventListener("click", () => {
    const next = !isUtc();
    document.body.dataset.zone = next ? "utc" : "local";
    try { if (next) localStorage.setItem(ZONE, "yes"); else localStorage.removeItem(ZONE); } catch { /* see isUtc */ }
    showZone();
  });

  const show = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    localise(next);
    const focused = document.activeElement;
    const address = focused?.getAttribute("href");
    for (const here of document.querySelectorAll("[data-live]")) {
      const there = next.getElementById(here.id);
      if (there) update(here, there);
    }
    document.title = next.title;
    const icon = next.querySelector("link[rel=icon]");
    if (icon) document.querySelector("link[rel=icon]").href = icon.href;
    // A row that moved takes the focus with it.
    if (address && document.activeElement?.getAttribute("href") !== address) {
      const moved = [...document.links].find((link) => link.getAttribute("href") === address);
      moved?.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (fetching) return;
    fetching = true;
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(20000) });
      if (response.status === 404) location.reload(); // the job of this page is gone
      if (!response.ok) throw new Error(response.statusText);
      show(await response.text());
      last = Date.now();
      lost.hidden = true;
    } catch {
      const since = new Date(last);
      const time = lost.querySelector("time");
      const [, day, month, , clock] = since.toUTCString().split(" ");
      time.dateTime = since.toISOString();
      time.title = time.dataset.utc = `${Number(day)} ${month} ${clock} UTC`; // hours ago, it may be
      localise(lost);
      lost.hidden = false;
    } finally {
      fetching = false;
    }
  };

  const tick = () => {
    if (!document.hidden && !isStopped() && Date.now() - last >= SECONDS * 1000) refresh();
  };

  button.addEventListener("click", () => {
    setStopped(!isStopped());
    label();
    if (!isStopped()) refresh();
  });
  label();
  showZone();
  document.documentElement.classList.add("scripted"); // shows what needs this script
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);

  // Keys. `g` waits a moment for the one that follows.
  const keys = document.getElementById("keys");
  const go = { s: "stages", g: "grid", l: "list", h: "" };
  let awaited = 0;
  const toView = (view) => {
    const link = view && document.querySelector(`.views a[data-view="${view}"]`);
    location.assign(link ? link.href : `${document.body.dataset.up || "./"}${view ? `?view=${view}` : ""}`);
  };
  const step = (by) => {
    const links = [...document.querySelectorAll("main a[href^='jobs/']:not(.what)")].filter((link) => link.checkVisibility());
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };
  document.getElementById("help").addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const follows = event.timeStamp - awaited < 1500;
    awaited = 0;
    const search = document.getElementById("name");
    if (follows && event.key in go) toView(go[event.key]);
    else if (event.key === "g") awaited = event.timeStamp;
    else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (event.key === "?") keys.showModal();
    else if (event.key === "/" && search) { search.focus(); search.select(); } else return;
    event.preventDefault();
  });

  const copy = async (source, control) => {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      // The clipboard interface exists only on https and localhost.
      if (navigator.clipboard) await navigator.clipboard.writeText(source.textContent);
      else if (!document.execCommand("copy")) return;
    } catch { return; }
    getSelection().removeAllRanges();
    control.textContent = "Copied";
    setTimeout(() => { control.textContent = "Copy"; }, 2000);
  };
  document.addEventListener("click", (event) => {
    const control = event.target.closest?.("button[data-copy]");
    if (control) copy(document.getElementById(control.dataset.copy), control);
  });
})();
