"""What a person sees in the terminal; the command line alone prints."""
