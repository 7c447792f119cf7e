"""How operators' pages write dates. Named in settings.FORMAT_MODULE_PATH."""
