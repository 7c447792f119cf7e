// What the admin's pages leave out for people who use a keyboard or a screen reader. Fragments that come later are
// mended as they arrive.
"use strict";

{
    // Of controls that are nothing but an icon: which of the page's words names it.
    const NAMES = { add: "add", arrow_back: "back", more_horiz: "more", dock_to_right: "menu", menu: "menu" };
    const say = (word) => document.getElementById("words")?.dataset[word];

    // An icon is a word in a font of pictures: read aloud it is noise.
    const hideIcons = (root) => {
        for (const icon of root.querySelectorAll(".material-symbols-outlined")) {
            icon.setAttribute("aria-hidden", "true");
            const control = icon.closest("a, button, [role=button]");
            if (control?.matches("a:not([href])")) {
                control.setAttribute("role", "button");
                control.setAttribute("tabindex", "0");
            }
            if (control && !control.hasAttribute("aria-label") && control.innerText.trim() === icon.innerText.trim()) {
                control.setAttribute("aria-label", say(NAMES[icon.innerText.trim()]) || icon.innerText.trim().replaceAll("_", " "));
            }
        }
    };

    const nameSelects = (root) => {
        for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
            const label = document.querySelector(`label[for="${select.id}"]`);
            const shown = select.parentElement.querySelectorAll(".select2-selection, .select2-selection__rendered");
            for (const part of shown) {
                if (label && !part.hasAttribute("aria-label")) {
                    part.setAttribute("aria-label", label.innerText.trim());
                    part.removeAttribute("aria-labelledby");
                }
            }
        }
    };

    const nameSearches = (root) => {
        for (const field of root.querySelectorAll(".select2-search__field:not([aria-label])")) {
            field.setAttribute("aria-label", say("search") || "Search");
        }
    };

    const mendDialog = (dialog) => {
        if (dialog.getAttribute("role") === "dialog") {
            return;
        }
        dialog.setAttribute("role", "dialog");
        dialog.setAttribute("aria-modal", "true");
        const heading = dialog.querySelector("h1");
        if (heading) {
            dialog.setAttribute("aria-label", heading.innerText.trim());
        }
        const close = dialog.querySelector(":scope > div > .material-symbols-outlined")?.parentElement;
        if (close) {
            close.setAttribute("role", "button");
            close.setAttribute("tabindex", "0");
            close.setAttribute("aria-label", say("close") || "Close");
            close.addEventListener("keydown", (event) => {
                if (event.key === "Enter" || event.key === " ") {
                    close.click();
                }
            });
            dialog.addEventListener("keydown", (event) => {
                if (event.key === "Escape") {
                    close.click();
                }
            });
        }
        // The dialog becomes visible after this; what is hidden takes no focus.
        setTimeout(() => dialog.querySelector("input:not([type=hidden]), button, select, textarea")?.focus(), 50);
    };

    const mend = () => {
        hideIcons(document);
        nameSelects(document);
        nameSearches(document);
        document.querySelectorAll("#dialog").forEach(mendDialog);
    };

    document.addEventListener("DOMContentLoaded", () => {
        mend();
        new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
    });
}
