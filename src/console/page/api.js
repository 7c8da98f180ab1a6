// Asks the gateway's API. The token, where one is needed, lives in this tab's session storage and in no other place.

const KEY = "gsgate-token";

let asking = null;

/** An answer that is good; anything else is an Error with the gateway's own words. */
export async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const answer = await fetch(path, { ...options, headers, cache: "no-store" }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Error("The gateway's admin listener does not answer.");
    });
    if (answer.ok) return answer;
    if (answer.status !== 401) throw new Error(await words(answer));
    // Somebody else may have been asked meanwhile.
    if (sessionStorage.getItem(KEY) === token) await askForToken(token !== null);
  }
}

/** A JSON answer. */
export async function get(path) {
  return (await ask(path)).json();
}

async function words(answer) {
  try {
    const { error } = await answer.json();
    return error.message;
  } catch {
    return `The gateway answered ${answer.status}.`;
  }
}

/** Shows the dialog once, however many wait for it. */
function askForToken(wasWrong) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const form = document.getElementById("token-form");
    const field = document.getElementById("token-text");
    const trouble = document.getElementById("token-trouble");
    sessionStorage.removeItem(KEY);
    trouble.hidden = !wasWrong;
    trouble.textContent = wasWrong ? "That is not the token." : "";
    const stay = (event) => event.preventDefault();
    dialog.addEventListener("cancel", stay);
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, field.value.trim());
      field.value = "";
      dialog.removeEventListener("cancel", stay);
      dialog.close();
      asking = null;
      resolve();
    };
    dialog.showModal();
    field.focus();
  });
  return asking;
}
