// Tells the site the browser's time zone, in which its pages show every time (surveycalls/operator_zone.py).
"use strict";

{
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}
