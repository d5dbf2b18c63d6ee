// Copying, and what saves a round trip. Every page works without this but for copying.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Plain http to another machine has no clipboard: the text is selected, to copy by hand.
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = words; }, 3000);
  });
}

// An invitation stands after the # of its link.
for (const field of document.querySelectorAll("[data-from-fragment]")) {
  if (!field.value && location.hash.length > 1) {
    field.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
}

// Ticking a cluster chooses "only these", and choosing otherwise unticks them: what is sent says one thing.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("change", ({ target }) => {
    const { chooses, value } = target.dataset;
    if (chooses && (target.checked || target.type === "date")) {
      form.querySelector(`[name=${chooses}][value=${value || "only"}]`).checked = true;
    }
    if (target.type !== "radio" || target.value === "only") return;
    for (const box of form.querySelectorAll(`[type=checkbox][data-chooses=${target.name}]`)) box.checked = false;
  });
}

for (const form of document.querySelectorAll("form[data-preview]")) {
  const outlook = document.getElementById("outlook");
  const buttons = [...form.querySelectorAll("button[value=make]")];
  for (const button of form.querySelectorAll("[data-scriptless]")) button.hidden = true;
  const pressed = () => [...form.querySelectorAll("[name=scope]:checked")].map((box) => box.value).sort().join(" ");

  const check = () => {
    const wanted = form.querySelector("[data-required]");
    const only = form.querySelector("[name=reach][value=only]");
    const date = form.querySelector("[name=expires][value=date]");
    const lacking = (wanted && !form.querySelector("[name=scope]:checked"))
      || (only && only.checked && !form.querySelector("[name=cluster]:checked"))
      || (date && date.checked && !form.elements.date.value);
    const invalid = lacking || !form.checkValidity() || !form.elements.name.value.trim();
    for (const button of buttons) button.disabled = Boolean(invalid);
    for (const preset of form.querySelectorAll("[data-scopes]")) {
      preset.setAttribute("aria-pressed", String(preset.dataset.scopes.split(" ").sort().join(" ") === pressed()));
    }
  };

  let latest = 0;
  let timer;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++latest;
      try {
        const reply = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        const text = await reply.text();
        // Signed out meanwhile: the form itself will say so.
        if (mine === latest && reply.ok && !reply.redirected) outlook.innerHTML = text;
      } catch { /* Away for a moment: the next change asks again, and so does the button. */ }
    }, 250);
  };

  form.addEventListener("change", () => {
    check();
    look();
  });
  form.addEventListener("input", check);
  for (const preset of form.querySelectorAll("[data-scopes]")) {
    preset.addEventListener("click", (event) => {
      event.preventDefault();
      const scopes = preset.dataset.scopes.split(" ");
      for (const box of form.querySelectorAll("[name=scope]")) box.checked = scopes.includes(box.value);
      check();
      look();
    });
  }
  check();
}

// A live list asks again for its part of the page.
for (const part of document.querySelectorAll("[data-live]")) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const reply = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!reply.ok || reply.redirected) return;
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById(part.id);
      if (fresh) part.innerHTML = fresh.innerHTML;
    } catch { /* The next one. */ }
  }, 3000);
}
