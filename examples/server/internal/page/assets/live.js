// Asks for this page again and again while somebody looks at it, and brings what is marked data-live up to date. Elements stay
// the same ones, so that the focus, what is selected, unfolded or scrolled stay where they are.
export function live(changed) {
	const every = Number(document.body.dataset.refresh);
	const note = document.getElementById("live");
	let timer = 0;
	let asking = null;

	async function refresh() {
		asking?.abort();
		asking = new XMLHttpRequest();
		try {
			const page = await read(asking, Math.max(2 * every, 5000));
			for (const region of document.querySelectorAll("[data-live]")) {
				const fresh = page.getElementById(region.id);
				if (fresh) morph(region, fresh);
			}
			document.title = page.title;
			note.textContent = "";
			document.body.dataset.refreshed = String(Number(document.body.dataset.refreshed ?? 0) + 1);
			changed();
		} catch (problem) {
			if (problem === 404) note.textContent = "What this page shows is gone: these are its last figures.";
			else if (problem !== "aborted") note.textContent = "The server does not answer: figures may be old.";
		}
	}

	function schedule() {
		clearTimeout(timer);
		if (document.hidden) return;
		timer = setTimeout(async () => {
			await refresh();
			schedule();
		}, every);
	}

	if (every > 0) {
		document.addEventListener("visibilitychange", async () => {
			if (!document.hidden) await refresh();
			schedule();
		});
		schedule();
	}
	return refresh;
}

// read returns this page as the server has it now, if it says so within so many milliseconds. It is an XMLHttpRequest because that makes a document by itself, in which
// no script runs: no text becomes HTML here, which the page's Trusted Types do not allow.
function read(request, patience) {
	return new Promise((resolve, reject) => {
		request.open("GET", location.pathname + location.search);
		request.responseType = "document";
		request.timeout = patience;
		request.onload = () => {
			if (new URL(request.responseURL).pathname === "/login") location.reload(); // the session has ended
			else if (request.status === 200 && request.response) resolve(request.response);
			else reject(request.status);
		};
		request.onerror = () => reject("unreachable");
		request.ontimeout = () => reject("late");
		request.onabort = () => reject("aborted");
		request.send();
	});
}

// morph makes old look like fresh, and keeps as many of its nodes as it can.
function morph(old, fresh) {
	if (old.isEqualNode(fresh) || old.dataset?.plot !== undefined) return;
	if (old.nodeName !== fresh.nodeName) {
		old.replaceWith(document.adoptNode(fresh));
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) {
		if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
		return;
	}
	for (const { name } of [...old.attributes]) {
		if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
	}
	for (const { name, value } of fresh.attributes) {
		if (old.getAttribute(name) !== value) old.setAttribute(name, value);
	}
	if (fresh.firstElementChild?.dataset.key !== undefined) morphRows(old, fresh);
	else morphChildren(old, [...fresh.childNodes]);
}

function morphChildren(old, children) {
	while (old.childNodes.length > children.length) old.lastChild.remove();
	children.forEach((child, i) => {
		if (i < old.childNodes.length) morph(old.childNodes[i], child);
		else old.append(document.adoptNode(child));
	});
}

// morphRows keeps each row for what it is about, so that one that comes or goes leaves the focus where it is on the others.
function morphRows(old, fresh) {
	const wanted = new Set([...fresh.children].map((row) => row.dataset.key));
	const there = new Map();
	for (const row of [...old.children]) {
		if (wanted.has(row.dataset.key)) there.set(row.dataset.key, row);
		else row.remove();
	}
	let at = old.firstElementChild;
	for (const child of [...fresh.children]) {
		const row = there.get(child.dataset.key);
		if (row) morph(row, child);
		if (row && row === at) at = at.nextElementSibling;
		else old.insertBefore(row ?? document.adoptNode(child), at);
	}
}
