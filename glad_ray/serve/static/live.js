// Asks for the page again and again, and changes what has changed in it: focus, scrolling and opened details stay.
"use strict";

const LONGEST_PAUSE_SECONDS = 60;
const live = document.getElementById("live");
const notice = document.getElementById("notice");
const button = document.getElementById("pause");
let paused = false;
let failures = 0;
let timer = 0;

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  // What a reader has typed, chosen or opened is the reader's.
  if (old.matches("input, select")) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  }
  const children = [...fresh.childNodes];
  children.forEach((child, place) => {
    let there = old.childNodes[place];
    if (child.id) {
      const same = [...old.childNodes].slice(place).find((each) => each.id === child.id);
      if (same && same !== there) there = old.insertBefore(same, there);
    }
    if (there) morph(there, child);
    else old.append(document.importNode(child, true));
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

function say(sentence) {
  if (notice.textContent !== sentence) notice.textContent = sentence;
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-cache", credentials: "same-origin" });
    if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    document.body.dataset.refresh = page.body.dataset.refresh;
    morph(live, page.getElementById("live"));
    failures = 0;
    say("");
  } catch (error) {
    failures += 1;
    const reason = error instanceof TypeError ? "it does not answer" : error.message;
    say(`glad-ray serve is not there any more (${reason}): this is what it told last.`);
  }
}

function later() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  const seconds = Number(document.body.dataset.refresh) * 2 ** failures;
  timer = setTimeout(() => refresh().then(later), 1000 * Math.min(seconds, LONGEST_PAUSE_SECONDS));
}

button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  if (paused) later();
  else refresh().then(later);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || paused) later();
  else refresh().then(later);
});
later();
