"""An audit in the forms that people and machines read, each from the document audit.json."""
