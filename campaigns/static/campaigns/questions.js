// Of each question the fields show that one of its type has; what was written in others is dropped with the next save.
// Questions that are dragged are counted from 1, as they are asked; unfold counts from 0.
"use strict";

{
    const showFields = (type) => {
        const fieldsOfType = JSON.parse(type.dataset.fields);
        const prefix = type.name.slice(0, -"type".length);
        for (const name of new Set(Object.values(fieldsOfType).flat())) {
            const field = document.getElementsByName(prefix + name)[0];
            field.closest(".field-line").hidden = !fieldsOfType[type.value]?.includes(name);
        }
    };

    const countFromOne = (rows) => {
        const positions = rows.querySelectorAll(":scope > .original input[name$=-position]");
        positions.forEach((input, index) => {
            input.value = index + 1;
        });
    };

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll("select[data-fields]").forEach(showFields);
        document.addEventListener("change", (event) => {
            if (event.target.matches("select[data-fields]")) {
                showFields(event.target);
            }
        });
        const rows = document.getElementById("questions-data");
        rows?.addEventListener("end", () => setTimeout(countFromOne, 0, rows)); // after unfold has counted
    });
}
