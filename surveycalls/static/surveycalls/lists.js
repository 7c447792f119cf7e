// Marks the cells of lists that have nothing to say, which a phone leaves out (lists.css).
"use strict";

{
    const NOTHING = ["", "-", "—"];

    const markEmpty = () => {
        for (const cell of document.querySelectorAll("tr.data-row > td[data-label]:not(.action-checkbox)")) {
            cell.classList.toggle("is-empty", NOTHING.includes(cell.textContent.trim()) && !cell.querySelector("img, input"));
        }
    };

    document.addEventListener("DOMContentLoaded", markEmpty);
    document.addEventListener("htmx:afterSettle", markEmpty);
}
