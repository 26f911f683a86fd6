"use strict";
// Keeps an open page up to date and makes "Copy" buttons work. Without it the page is
// complete, and one that is reloaded by hand.
(() => {
  const SECONDS = 30;
  const STOPPED = "datatrove-exporter: refreshing is stopped";
  const button = document.getElementById("refresh");
  const lost = document.getElementById("lost");
  if (!button) return; // the page in place of a job that is gone
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
    for (const { name } of [...here.attributes]) if (!there.hasAttribute(name)) here.removeAttribute(name);
    for (const { name, value } of [...there.attributes]) if (here.getAttribute(name) !== value) here.setAttribute(name, value);
    const [ours, theirs] = [[...here.childNodes], [...there.childNodes]];
    theirs.forEach((child, index) => {
      if (index < ours.length) update(ours[index], child); else here.append(document.importNode(child, true));
    });
    ours.slice(theirs.length).forEach((child) => child.remove());
  };

  const show = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
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
      const time = new Date(last).toISOString().slice(11, 19);
      lost.querySelector(".since").textContent = `${time} UTC`;
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
  document.documentElement.classList.add("scripted"); // shows what needs this script
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);

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
