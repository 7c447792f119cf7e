// Whoever presses a button and gets no answer, or a refusal, reads why in a dialog: htmx would leave an empty one.
"use strict";

{
    const ASKED_FOR = ["click", "submit"]; // by somebody, and not by the page itself

    const tell = (request, answer) => {
        const words = document.getElementById("trouble")?.content.cloneNode(true);
        if (!words || !ASKED_FOR.includes(request.requestConfig?.triggeringEvent?.type)) {
            return;
        }
        const page = new DOMParser().parseFromString(answer, "text/html").getElementById("happened");
        if (page) {
            words.querySelector("h1").textContent = page.querySelector("h1 > :last-child").textContent;
            words.querySelector("p").textContent = page.querySelector("p").textContent;
        }
        const modal = document.getElementById("modal-content");
        modal.replaceChildren(words);
        window.Alpine.$data(modal).openModal = true;
    };

    document.addEventListener("htmx:responseError", (event) => tell(event.detail, event.detail.xhr.responseText));
    document.addEventListener("htmx:sendError", (event) => tell(event.detail, ""));
}
