"""What happened: tables in, a dataset folder out. No torch below this line."""
