// Passkeys: the one thing here that needs script, for browsers offer them to scripts only. Forms with `data-passkey` stay
// hidden until it can work; what the passkey answers is sent as a field of the form.
"use strict";

const works = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON
  && PublicKeyCredential.parseCreationOptionsFromJSON;

async function ask(form) {
  const answer = await fetch(form.dataset.options, { method: "POST", headers: { accept: "application/json" } });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(found) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(found) });
}

if (works) {
  for (const why of document.querySelectorAll("[data-no-passkey]")) why.hidden = true;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const said = form.querySelector("[data-said]");
      said.textContent = "";
      try {
        form.elements.credential.value = JSON.stringify((await ask(form)).toJSON());
      } catch (error) {
        said.textContent = error.name === "NotAllowedError" ? "No passkey was used." : error.message;
        return;
      }
      form.submit();
    });
  }
}
