/* Keeps each element with data-live up to date with what its address answers, without loading the page.

What is shown is changed in place and only where it differs, so focus, scrolling and opened details stay.
*/
"use strict";

(() => {
    const EVERY_MS = 5000;
    const PATIENCE_MS = 20000;

    function keyOf(node) {
        return node?.dataset?.key;
    }

    function copyAttributes(shown, fresh) {
        for (const { name } of [...shown.attributes]) {
            if (!fresh.hasAttribute(name) && !(name === "open" && shown.nodeName === "DETAILS")) {
                shown.removeAttribute(name);
            }
        }
        for (const { name, value } of fresh.attributes) {
            if (shown.getAttribute(name) !== value) {
                shown.setAttribute(name, value);
            }
        }
    }

    function follows(node, other) {
        return other && other.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING;
    }

    /* Children with the same data-key are the same; without one, those in the same place. */
    function mend(shown, fresh) {
        const wanted = [...fresh.childNodes];
        const keys = new Set(wanted.map(keyOf));
        for (const child of [...shown.children]) {
            if (!keys.has(keyOf(child))) {
                child.remove();
            }
        }
        wanted.forEach((node, position) => {
            const same = keyOf(node) && [...shown.children].find((child) => keyOf(child) === keyOf(node));
            while (same && shown.childNodes[position] !== same && follows(same, shown.childNodes[position])) {
                shown.childNodes[position].remove();
            }
            const known = shown.childNodes[position];
            if (!known || keyOf(known) !== keyOf(node)) {
                shown.insertBefore(node, known ?? null);
            } else if (known.nodeName !== node.nodeName) {
                known.replaceWith(node);
            } else if (node.nodeType === Node.ELEMENT_NODE) {
                copyAttributes(known, node);
                mend(known, node);
            } else if (known.data !== node.data) {
                known.data = node.data;
            }
        });
        while (shown.childNodes.length > wanted.length) {
            shown.lastChild.remove();
        }
    }

    function keepAlive(region) {
        const body = region.querySelector("[data-live-body]");
        const trouble = region.querySelector("[data-live-trouble]");
        let timer = null;
        let isAsking = false;

        function tell(sentence) {
            trouble.hidden = !sentence;
            if (trouble.textContent !== sentence) {
                trouble.textContent = sentence;
            }
        }

        /* Whether to ask again. */
        async function refresh() {
            try {
                const signal = AbortSignal.timeout(PATIENCE_MS);
                // With the header the site knows that nobody has done anything: the session's time goes on.
                const headers = { "HX-Request": "true" };
                const response = await fetch(region.dataset.live, { cache: "no-store", headers, signal });
                if (response.status === 401 || response.status === 403) {
                    tell(trouble.dataset.refused);
                    return false;
                }
                if (!response.ok) {
                    throw new Error(`${response.status}`);
                }
                const fresh = document.createElement("template");
                fresh.innerHTML = await response.text();
                mend(body, fresh.content);
                tell("");
            } catch {
                tell(trouble.dataset.silent);
            }
            return true;
        }

        async function run() {
            clearTimeout(timer);
            if (isAsking || document.hidden) {
                return;
            }
            isAsking = true;
            const goesOn = await refresh();
            isAsking = false;
            if (goesOn) {
                timer = setTimeout(run, EVERY_MS);
            } else {
                document.removeEventListener("visibilitychange", run);
            }
        }

        document.addEventListener("visibilitychange", run);
        timer = setTimeout(run, EVERY_MS);
    }

    document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-live]").forEach(keepAlive));
})();
