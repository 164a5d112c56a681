// Comforts on top of pages that work without them. No page depends on this file.
"use strict";

const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);

// --- times in the reader's zone; the server's text (UTC) stays in the title ---
const instants = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
each("time[datetime]", (time) => {
  const value = new Date(time.dateTime);
  if (Number.isNaN(value.valueOf())) return;
  time.title = time.textContent;
  time.textContent = ("day" in time.dataset ? days : instants).format(value);
});

// --- copy buttons: hidden until they can work ---
if (navigator.clipboard) each("[data-copy]", (button) => {
  const words = button.innerHTML;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.closest(".code").querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.innerHTML = words; }, 2000);
  });
});

// --- the account menu closes on Escape and on a click elsewhere ---
each("details.menu", (menu) => {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
});

// --- keys where a page lists them: never while a field is typed in, and not for who switched them off ---
each("[data-keys]", (help) => {
  const isOff = () => localStorage.getItem("keys") === "off";
  const button = help.querySelector("[data-keys-switch]");
  const say = () => { button.textContent = `Switch the keys ${isOff() ? "on" : "off"}`; };
  help.hidden = button.hidden = false;
  button.addEventListener("click", () => { localStorage.setItem("keys", isOff() ? "on" : "off"); say(); });
  say();
  const rows = [...document.querySelectorAll("[data-row]")];
  const rowOf = (element) => rows.findIndex((row) => row.contains(element));
  let place = -1; // the row last in use, from which j and k go on after a button or a field elsewhere
  document.addEventListener("focusin", (event) => { place = rowOf(event.target) < 0 ? place : rowOf(event.target); });
  document.addEventListener("keydown", (event) => {
    if (isOff() || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return leave(event.target, event);
    if (event.ctrlKey) return;
    const at = rowOf(event.target);
    const step = { j: 1, k: -1, ArrowDown: at < 0 ? 0 : 1, ArrowUp: at < 0 ? 0 : -1 }[event.key];
    const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (step && rows.length) rows[Math.min(Math.max(place + step, 0), rows.length - 1)].querySelector("a").focus();
    else if (event.key === "o" && at >= 0) rows[at].querySelector("a").click();
    else if (event.key === "x" && at >= 0) rows[at].querySelector("[type=checkbox]")?.click();
    else if (found) press(found, rows[at]);
    else return;
    event.preventDefault();
  });
  const leave = (field, { key, ctrlKey }) => { // Escape leads back to the keys, Ctrl and Enter on to the field's button
    if (key === "Escape") field.blur();
    const next = (all) => all.slice(all.indexOf(field)).find((one) => one.type === "submit");
    if (key === "Enter" && ctrlKey && field.form) next([...field.form.elements])?.focus();
  };
  const press = (found, row) => {
    const isTheirs = row && found.form && row.closest("form") === found.form; // else it is about something decided before
    if (isTheirs && !document.querySelector("[data-row] :checked")) row.querySelector("[type=checkbox]")?.click();
    if (found.matches("a, summary")) found.click();
    found.focus(); // a button waits for Enter: that confirms
  };
});

// --- playground: which words does the model not know? Never on blur: the page must not move under a click ---
each("[data-vocabulary]", (input) => {
  const known = new Set(input.dataset.vocabulary.split(" "));
  const note = document.getElementById(input.dataset.vocabularyNote);
  const look = () => {
    const words = input.value.toLowerCase().split(/\s+/).map((word) => word.replace(/^[,.!:?;"“”]+|[,.!:?;"“”]+$/g, ""));
    const strange = [...new Set(words.filter((word) => word && !known.has(word)))];
    note.textContent = strange.length ? `Outside this model’s vocabulary: ${strange.slice(0, 6).join(", ")}.` : "";
  };
  each(`[data-adds="${input.name}"] a, [data-puts="${input.name}"] a`, (link) => link.addEventListener("click", (event) => {
    event.preventDefault(); // without this file the link opens the page with the word added, or the prompt put there
    input.value = `${link.closest("[data-puts]") ? "" : input.value.trim()} ${link.textContent}`.trim();
    look();
  }));
  input.addEventListener("input", () => { clearTimeout(input.pause); input.pause = setTimeout(look, 600); });
});

// --- a panel that waits for an image looks again by itself; its buttons stay, and the focus with them ---
each("[data-again]", (panel) => {
  const look = async () => {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const [here, there] = [panel, page].map((root) => root.querySelector("[data-fresh]"));
    if (!there) location.reload(); // it is over: the page has another shape
    else if (here.innerHTML !== there.innerHTML) here.replaceWith(there);
  };
  setInterval(() => look().catch(() => {}), 3000); // who is offline for a moment goes on waiting
});

// --- playground: send the form, read one JSON object a line, then open the result's page ---
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
  if (rest) yield JSON.parse(rest);
}

async function watch(form, live, run) {
  const say = (text) => { live.querySelector("[data-status]").textContent = text; };
  const [bar, look] = ["progress", "[data-preview]"].map((found) => live.querySelector(found));
  const fill = (done, all) => (done < all ? ([bar.max, bar.value] = [all, done]) : bar.removeAttribute("value"));
  look.hidden = true;
  fill(0, 0);
  say("Sending your prompt.");
  const body = new URLSearchParams(new FormData(form));
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/x-ndjson" } });
  if (!(response.headers.get("content-type") || "").startsWith("application/x-ndjson")) {
    // Where nothing was ordered, the plain way shows why as a page.
    if (response.redirected || (response.status >= 400 && response.status < 500)) return form.submit();
    throw new Error(response.headers.get("x-error-message") || "The server did not answer as it should.");
  }
  for await (const event of lines(response)) {
    if (event.type === "accepted") run.cancel = event.cancel;
    if (event.type === "loading") { say(`Loading the model. ${event.message}`); fill(event.bytes_verified, event.bytes_total); }
    if (event.type === "queued") say(`Waiting: place ${event.place} in the queue.`);
    if (event.type === "started") { say(`Making your image in ${event.steps} steps.`); fill(0, event.steps); }
    if (event.type === "retrying") say("The image service stopped. It is starting anew with your image.");
    if (event.type === "progress") fill(event.step, event.steps);
    if (event.type === "preview") { look.src = `data:image/png;base64,${event.png_base64}`; look.hidden = false; }
    if (event.type === "end") { say("Done. Opening the result."); location.assign(event.location); return; }
  }
  throw new Error("The connection ended early.");
}

each("form[data-live]", (form) => {
  const live = document.getElementById(form.dataset.live);
  let run = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (run) return;
    run = { cancel: "" };
    live.hidden = live.querySelector("progress").hidden = false;
    live.scrollIntoView({ block: "nearest" });
    watch(form, live, run)
      .catch((error) => {
        live.querySelector("progress").hidden = true;
        const what = error instanceof TypeError ? "The connection to the server was lost." : error.message;
        live.querySelector("[data-status]").textContent = `${what} Look under Images before you try again.`;
      })
      .finally(() => { run = null; });
  });
  const stop = () => { if (run && run.cancel) fetch(run.cancel, { method: "POST" }); };
  each("[data-stop]", (button) => button.addEventListener("click", stop), live);
});
