"""What makes the documents out of the program. No part of the program itself."""
