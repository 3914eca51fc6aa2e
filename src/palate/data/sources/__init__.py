"""Where tables come from: files, folders, bundles and public data sets."""
