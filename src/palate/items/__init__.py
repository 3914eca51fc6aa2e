"""What an item is: text, image and attribute vectors."""
