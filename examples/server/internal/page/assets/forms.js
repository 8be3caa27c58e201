// What is told of a form on the page that is loaded anew once it is sent: its id.
const sent = "sent";

// Sends forms that are marked data-api to the API as JSON, and shows what it says at the fields that it is about. One that is
// marked data-anew is about something else once it is sent: the page is loaded anew then.
export function forms(changed) {
	const before = sessionStorage.getItem(sent);
	sessionStorage.removeItem(sent);
	for (const form of document.querySelectorAll("form[data-api]")) {
		if (form.id === before) tell(form, form.dataset.done);
		form.hidden = false;
		form.noValidate = true; // the API knows the rules, and says them at the field
		let key, tried; // a repeated try has the same key, so that it is done once
		form.addEventListener("submit", async (event) => {
			event.preventDefault();
			const button = form.querySelector("button");
			button.disabled = true;
			clear(form);
			const body = JSON.stringify(members(form));
			if (body !== tried) [key, tried] = [randomKey(), body];
			try {
				if (!await send(form, body, key)) return;
				if ("anew" in form.dataset) {
					sessionStorage.setItem(sent, form.id);
					location.reload(); // until then it has the same key: sent twice, it is done once
					return;
				}
				tried = undefined;
				tell(form, form.dataset.done);
				await changed();
			} catch {
				fail(form, "The server does not answer. It may have been saved: load the page again.");
			} finally {
				button.disabled = false;
			}
		});
	}
}

// send reports whether the API did what the form asks for.
async function send(form, body, key) {
	const method = form.dataset.api;
	if (method === "PUT" && body === "{}") {
		tell(form, "Nothing was changed.");
		return false;
	}
	const headers = { "Content-Type": "application/json" };
	if (method === "POST") headers["Idempotency-Key"] = key;
	if (form.dataset.etag) headers["If-Match"] = form.dataset.etag;
	const answer = await fetch(form.action, { method, headers, body });
	if (answer.ok) {
		if (form.dataset.etag && answer.headers.get("ETag")) form.dataset.etag = answer.headers.get("ETag");
		for (const input of form.elements) settle(input);
		return true;
	}
	const problem = await answer.json();
	if (answer.status === 412 || answer.status === 409) {
		fail(form, "Somebody else has changed this meanwhile. Nothing of yours is saved: load the page again to see how it stands.");
	} else {
		showProblem(form, problem);
	}
	return false;
}

// members returns what was changed in the form, or all of one that makes something. Numbers are texts: no digit of them is lost.
function members(form) {
	const all = {};
	for (const input of form.elements) {
		if (!input.name) continue;
		if (input.type === "checkbox") {
			if (input.checked !== input.defaultChecked) all[input.name] = input.checked;
			continue;
		}
		const changed = form.dataset.api === "POST" || input.value !== input.defaultValue;
		if (changed) all[input.name] = input.value.trim() === "" && "null" in input.dataset ? null : input.value;
	}
	return all;
}

function settle(input) {
	if (input.type === "checkbox") input.defaultChecked = input.checked;
	else if (input.name) input.defaultValue = input.value;
}

function clear(form) {
	for (const error of form.querySelectorAll(".error")) error.textContent = "";
	for (const input of form.elements) input.removeAttribute("aria-invalid");
	form.querySelector("[data-failure]").hidden = true;
	tell(form, "");
}

function tell(form, text) {
	form.querySelector("[data-status]").textContent = text;
}

function showProblem(form, problem) {
	const others = [];
	for (const { field, message } of problem.errors ?? []) {
		const input = form.elements.namedItem(field);
		const place = document.getElementById(`${form.id}-${field}-error`);
		if (!input || !place) {
			others.push(`${field} ${message}`);
			continue;
		}
		input.setAttribute("aria-invalid", "true");
		place.textContent = message;
	}
	const first = form.querySelector('[aria-invalid="true"]');
	if (first) first.focus();
	if (others.length > 0 || !first) fail(form, others.join("; ") || problem.detail || problem.title);
}

function fail(form, text) {
	const place = form.querySelector("[data-failure]");
	place.textContent = text;
	place.hidden = false;
}

// randomKey works without a secure context too, in which crypto.randomUUID would be missing.
function randomKey() {
	return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
