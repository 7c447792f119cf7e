// Of each question the fields show that one of its type has; what was written in others is dropped with the next save.
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

    document.addEventListener("change", (event) => {
        if (event.target.matches("select[data-fields]")) {
            showFields(event.target);
        }
    });
    document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("select[data-fields]").forEach(showFields));
}
